"""Stored completions: a person's answers one by one, as OpenAI's API lists, changes and deletes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import has_pair
from storage.conversations import select_message, select_owned_message
from storage.records import Message, MessageStatus, Role
from storage.rows import select_all, select_number, select_place
from storage.tables import conversations, feedback, messages

STORED = (MessageStatus.COMPLETE, MessageStatus.INTERRUPTED)
Order = Literal["asc", "desc"]


async def select_completions(
    connection: AsyncConnection,
    person_id: str,
    limit: int,
    *,
    after: str | None = None,
    order: Order = "asc",
    model: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> list[Message]:
    """A page of this person's answers by age; `after` is the id that ended the page before, LookupError if they have none.

    `model` is the version that wrote it; every pair of `metadata` must be attached to it.
    """
    statement = select(messages).where(
        messages.c.person_id == person_id, messages.c.role == Role.ASSISTANT, messages.c.status.in_(STORED)
    )
    if model is not None:
        statement = statement.where(messages.c.engine_model == model)
    for key, value in (metadata or {}).items():
        statement = statement.where(has_pair(connection, messages.c.metadata, key, value))
    if after is not None:
        own = select(messages.c.position).where(messages.c.id == after, messages.c.person_id == person_id)
        [last] = await select_place(connection, own, f"completion {after!r}")
        statement = statement.where(messages.c.position > last if order == "asc" else messages.c.position < last)
    position = messages.c.position.asc() if order == "asc" else messages.c.position.desc()
    return await select_all(connection, statement.order_by(position).limit(limit), Message)


async def select_completion(connection: AsyncConnection, id: str, person_id: str) -> Message | None:
    """The answer, if it is this person's and its words are still kept."""
    found = await select_owned_message(connection, id, person_id)
    return found if found and _is_answer(found) else None


async def update_metadata(connection: AsyncConnection, id: str, person_id: str, metadata: Mapping[str, str]) -> None:
    """Replace what is attached to an answer; LookupError if this person has none of this id."""
    await _must_exist(connection, id, person_id)
    await connection.execute(update(messages).where(messages.c.id == id).values(metadata=dict(metadata)))


async def delete_completion(connection: AsyncConnection, id: str, person_id: str) -> None:
    """Remove an answer and the feedback on it; LookupError if this person has none of this id.

    Where a conversation went on below it, its place stays, without a word of it. Where it was the last of its branch,
    the questions that led only to it go too, and the conversation with the last of them.
    """
    answer = await _must_exist(connection, id, person_id)
    if await _has_children(connection, id):
        await connection.execute(delete(feedback).where(feedback.c.message_id == id))
        blank = {"content": "", "prompt_token_ids": (), "token_ids": (), "metadata": {}, "status": MessageStatus.DELETED}
        await connection.execute(update(messages).where(messages.c.id == id).values(**blank))
        return
    await _prune(connection, answer)


async def _must_exist(connection: AsyncConnection, id: str, person_id: str) -> Message:
    found = await select_completion(connection, id, person_id)
    if found is None:
        raise LookupError(f"no completion {id!r}")
    return found


async def _has_children(connection: AsyncConnection, id: str) -> bool:
    children = select(messages.c.id).where(messages.c.parent_id == id)
    return await select_number(connection, select(children.exists())) > 0


def _is_answer(message: Message) -> bool:
    return message.role is Role.ASSISTANT and message.status in STORED


async def _prune(connection: AsyncConnection, leaf: Message) -> None:
    """Remove a message without children, and those above it that led to nothing else, with what was said of each."""
    message: Message | None = leaf
    while message is not None:
        await connection.execute(delete(feedback).where(feedback.c.message_id == message.id))
        await connection.execute(delete(messages).where(messages.c.id == message.id))
        above = message.parent_id
        message = await select_message(connection, above) if above else None
        if message is not None and (_is_answer(message) or await _has_children(connection, message.id)):
            return
    empty = select(messages.c.id).where(messages.c.conversation_id == leaf.conversation_id)
    gone = (conversations.c.id == leaf.conversation_id, ~empty.exists())
    await connection.execute(delete(conversations).where(*gone))
