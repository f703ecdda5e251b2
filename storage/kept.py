"""All that is kept of one person: how much it is, and page by page for a copy that is theirs to take.

A page is a list of (place, record); the place of its last record, given back as `after`, leads to the next page.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Column, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Conversation, Document, Feedback, Message
from storage.rows import select_number, to_record
from storage.tables import conversations, documents, feedback, messages

Record = TypeVar("Record", bound=Struct)
PAGE = 100


class Counts(Struct, frozen=True):
    """How many rows of each kind are a person's."""

    conversations: int
    messages: int
    feedback: int
    documents: int


async def count_kept(connection: AsyncConnection, person_id: str) -> Counts:
    """What is kept of this person; zeros for somebody unknown."""

    async def count(table: Table) -> int:
        return await select_number(connection, select(func.count()).select_from(table).where(table.c.person_id == person_id))

    return Counts(await count(conversations), await count(messages), await count(feedback), await count(documents))


async def page_conversations(connection: AsyncConnection, person_id: str, after: str) -> list[tuple[str, Conversation]]:
    """This person's conversations, by id; the first page comes after ""."""
    own = select(conversations).where(conversations.c.person_id == person_id)
    return await _page(connection, own, conversations.c.id, after, Conversation)


async def page_messages(connection: AsyncConnection, conversation_id: str, person_id: str, after: int) -> list[tuple[int, Message]]:
    """The messages of this person's conversation, oldest first; the first page comes after 0."""
    own = select(messages).where(messages.c.conversation_id == conversation_id, messages.c.person_id == person_id)
    return await _page(connection, own, messages.c.position, after, Message)


async def page_feedback(connection: AsyncConnection, person_id: str, after: int) -> list[tuple[int, Feedback]]:
    """What this person said about answers, oldest first; the first page comes after 0."""
    own = select(feedback).where(feedback.c.person_id == person_id)
    return await _page(connection, own, feedback.c.position, after, Feedback)


async def page_documents(connection: AsyncConnection, person_id: str, after: int) -> list[tuple[int, Document]]:
    """The documents this person wrote, oldest first; the first page comes after 0."""
    own = select(documents).where(documents.c.person_id == person_id)
    return await _page(connection, own, documents.c.position, after, Document)


async def _page(
    connection: AsyncConnection, own: Select[Any], place: Column[Any], after: object, kind: type[Record]
) -> list[tuple[Any, Record]]:
    rows = await connection.execute(own.where(place > after).order_by(place).limit(PAGE))
    return [(row._mapping[place], to_record(row, kind)) for row in rows]
