"""Every text that is kept, in pages of (position, text): documents, and the answers in conversations."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Select, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import MessageStatus, Role
from storage.rows import select_all
from storage.tables import documents, messages, people

ANSWER = "answer"  # the kind of a conversation's answers, beside the kinds of documents
CONVERSATIONS = "conversations"  # their domain
UNKNOWN_LANGUAGE = "und"


class Text(Struct, frozen=True):
    position: int  # of the row in its table; the next page comes after it
    kind: str
    domain: str
    language: str  # as somebody stated it
    content: object  # JSON, by kind; an answer's is a string


async def page_documents(
    connection: AsyncConnection, after: int, limit: int, kind: str | None = None, domain: str | None = None
) -> list[Text]:
    """Documents, all or of one kind or domain, oldest first; the first page comes after 0."""
    columns = (documents.c.position, documents.c.kind, documents.c.domain, documents.c.language, documents.c.content)
    statement = select(*columns)
    if kind is not None:
        statement = statement.where(documents.c.kind == kind)
    if domain is not None:
        statement = statement.where(documents.c.domain == domain)
    return await _page(connection, statement, documents.c.position, after, limit)


async def page_answers(connection: AsyncConnection, after: int, limit: int) -> list[Text]:
    """Whole answers in conversations of people who let cycles learn, oldest first; the first page comes after 0."""
    stated = (literal(ANSWER).label("kind"), literal(CONVERSATIONS).label("domain"), literal(UNKNOWN_LANGUAGE).label("language"))
    statement = select(messages.c.position, *stated, messages.c.content).join(people, people.c.id == messages.c.person_id)
    whole = statement.where(messages.c.role == Role.ASSISTANT, messages.c.status == MessageStatus.COMPLETE, people.c.learn)
    return await _page(connection, whole, messages.c.position, after, limit)


async def _page(connection: AsyncConnection, statement: Select[Any], position: Any, after: int, limit: int) -> list[Text]:
    return await select_all(connection, statement.where(position > after).order_by(position).limit(limit), Text)
