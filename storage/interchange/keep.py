"""A talk from elsewhere into the tables, where only what is not there yet is added."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Text, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.conversations import insert_conversation, insert_messages, touch_conversation
from storage.erase import mark
from storage.feedback import insert_feedback
from storage.interchange.talk import Talk
from storage.people import ensure_person, select_person
from storage.records import Conversation, Feedback, FeedbackKind
from storage.rows import select_all, select_one
from storage.tables import conversations, erasures, feedback, messages


class RefusedError(Exception):
    """A talk that does not belong here; the message says why. Nothing of it was written."""


class Added(Struct, frozen=True):
    """How many rows came in."""

    people: int = 0
    conversations: int = 0
    messages: int = 0
    feedback: int = 0

    def plus(self, other: Added) -> Added:
        pairs = zip(_counts(self), _counts(other), strict=True)
        return Added(*(one + more for one, more in pairs))


async def keep_talk(connection: AsyncConnection, talk: Talk) -> Added:
    """Adds what is missing of a talk; what is there stays as it is.

    RefusedError when the person was forgotten here, or when the conversation or one of the messages belongs elsewhere.
    """
    person = await select_person(connection, talk.person.id)
    if person is None:
        await _check_not_forgotten(connection, talk.person.id)
    conversation = await select_one(
        connection, select(conversations).where(conversations.c.id == talk.conversation.id), Conversation
    )
    if conversation is not None and conversation.person_id != talk.person.id:
        raise RefusedError(f"conversation {talk.conversation.id!r} is another person's here")
    known = await _select_known(connection, talk)
    if person is None:
        await ensure_person(connection, talk.person)
    if conversation is None:
        await insert_conversation(connection, talk.conversation)
    elif conversation.updated_at_s < talk.conversation.updated_at_s:
        await touch_conversation(connection, conversation.id, talk.conversation.updated_at_s)
    new = [message for message in talk.messages if message.id not in known]
    await insert_messages(connection, new)
    said = await _select_unsaid(connection, talk) if talk.feedback else []
    if said:
        await insert_feedback(connection, said)
    return Added(int(person is None), int(conversation is None), len(new), len(said))


def _counts(added: Added) -> tuple[int, int, int, int]:
    return added.people, added.conversations, added.messages, added.feedback


async def _check_not_forgotten(connection: AsyncConnection, person_id: str) -> None:
    forgotten = select(erasures.c.id).where(type_coerce(erasures.c.marks, Text).contains(mark(person_id)))
    if (await connection.execute(forgotten.limit(1))).first() is not None:
        raise RefusedError(f"person {person_id!r} was forgotten here")


async def _select_known(connection: AsyncConnection, talk: Talk) -> set[str]:
    """Ids of those of the talk's messages that are there."""
    ids = [message.id for message in talk.messages]
    rows = await connection.execute(select(messages.c.id, messages.c.conversation_id).where(messages.c.id.in_(ids)))
    known = {row.id: row.conversation_id for row in rows}
    for message_id, conversation_id in known.items():
        if conversation_id != talk.conversation.id:
            raise RefusedError(f"message {message_id!r} is in another conversation here")
    return set(known)


async def _select_unsaid(connection: AsyncConnection, talk: Talk) -> list[Feedback]:
    """The talk's feedback that says something new: not what is said already, and nothing older than what is."""
    own = (messages.c.conversation_id == talk.conversation.id, feedback.c.person_id == talk.person.id)
    joined = select(feedback).join(messages, messages.c.id == feedback.c.message_id).where(*own)
    rows = await select_all(connection, joined.order_by(feedback.c.position), Feedback)
    ids = {row.id for row in rows}
    current: dict[tuple[str, FeedbackKind], Feedback] = {(row.message_id, row.kind): row for row in rows}
    unsaid: list[Feedback] = []
    for row in talk.feedback:
        before = current.get((row.message_id, row.kind))
        if row.id not in ids and (before is None or (before.value != row.value and before.created_at_s < row.created_at_s)):
            unsaid.append(row)
            ids.add(row.id)
            current[row.message_id, row.kind] = row
    return unsaid
