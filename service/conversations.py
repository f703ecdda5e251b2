"""`/v1/conversations`: what the asker talked about, to find again, read with all its branches, rename and delete."""

from __future__ import annotations

from typing import Annotated

from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth import asker_of
from service.opinion import Now, of_current
from service.paging import LIMIT, After, Limit, Page, page
from service.problem import Problem, owned
from service.wire import NO_NUL
from storage import conversations, feedback
from storage.database import Database
from storage.records import Conversation, Message, MessageStatus, Role

Title = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
Search = Annotated[str, QueryParameter(max_length=200)]


class ConversationCard(Struct, frozen=True):
    id: str
    title: str
    created_at_s: float
    updated_at_s: float  # when something was last said in it


class Node(Struct, frozen=True):
    """A message; the answers to one question, or the questions after one answer, share its `parent_id`."""

    id: str
    parent_id: str | None
    role: Role
    content: str
    status: MessageStatus
    created_at_s: float
    adapter: str | None  # that wrote it
    finish_reason: str | None
    feedback: Now | None  # what the owner thinks of it


class ConversationTree(Struct, frozen=True):
    """`messages` are those of all branches, parents before their children, siblings by age."""

    id: str
    title: str
    created_at_s: float
    updated_at_s: float
    messages: list[Node]


class TitleChange(Struct, frozen=True, forbid_unknown_fields=True):
    title: Title


class ConversationDeleted(Struct, frozen=True):
    id: str
    deleted: bool = True


@get("/v1/conversations")
async def list_conversations(
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
    after: After = None,
    limit: Limit = LIMIT,
    search: Search = "",
) -> Page[ConversationCard]:
    """The asker's conversations, the one last talked in first; with `search` those with these words in title or messages."""
    person = asker_of(request).person

    async def select(connection: AsyncConnection) -> list[Conversation]:
        return await conversations.select_conversations(connection, person.id, limit + 1, after, search)

    with owned("after"):
        found = await database.read(select)
    return page([_card(conversation) for conversation in found], limit)


@get("/v1/conversations/{conversation_id:str}")
async def show_conversation(
    conversation_id: FromPath[str],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> ConversationTree:
    """One of the asker's conversations, with every branch of it."""
    person = asker_of(request).person

    async def look(connection: AsyncConnection) -> ConversationTree:
        found = await _select(connection, conversation_id, person.id)
        messages = await conversations.select_messages(connection, conversation_id, person.id)
        said = await feedback.select_current_by_message(connection, conversation_id, person.id)
        nodes = [_node(message, of_current(said[message.id]) if message.id in said else None) for message in messages]
        return ConversationTree(found.id, found.title, found.created_at_s, found.updated_at_s, nodes)

    return await database.read(look)


@post("/v1/conversations/{conversation_id:str}", status_code=200)
async def rename_conversation(
    conversation_id: FromPath[str],
    data: JSONBody[TitleChange],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> ConversationCard:
    """Gives a conversation another title."""
    person = asker_of(request).person

    async def rename(connection: AsyncConnection) -> Conversation:
        await conversations.update_title(connection, conversation_id, person.id, data.title)
        return await _select(connection, conversation_id, person.id)

    with owned("conversation_id"):
        return _card(await database.write(rename))


@delete("/v1/conversations/{conversation_id:str}", status_code=200)
async def delete_conversation(
    conversation_id: FromPath[str],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> ConversationDeleted:
    """Deletes a conversation with all its messages and the feedback on them."""
    person = asker_of(request).person
    with owned("conversation_id"):
        await database.write(lambda c: conversations.delete_conversation(c, conversation_id, person.id))
    return ConversationDeleted(conversation_id)


async def _select(connection: AsyncConnection, id: str, person_id: str) -> Conversation:
    found = await conversations.select_conversation(connection, id, person_id)
    if found is None:
        raise Problem("not_found", f"you have no conversation {id!r}", "conversation_id")
    return found


def _card(found: Conversation) -> ConversationCard:
    return ConversationCard(found.id, found.title, found.created_at_s, found.updated_at_s)


def _node(message: Message, said: Now | None) -> Node:
    return Node(
        message.id,
        message.parent_id,
        message.role,
        message.content,
        message.status,
        message.created_at_s,
        message.engine_model,
        message.finish_reason,
        said,
    )


HANDLERS = [list_conversations, show_conversation, rename_conversation, delete_conversation]
