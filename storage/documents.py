"""Documents: imported corpora, and what people wrote to be learnt from."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Document, DocumentKind
from storage.rows import insert, select_all, select_one, select_place
from storage.tables import documents


async def insert_documents(connection: AsyncConnection, rows: Sequence[Document]) -> None:
    """Add documents in order; IntegrityError if an id is taken or a person unknown."""
    await insert(connection, documents, rows)


async def select_document(connection: AsyncConnection, id: str) -> Document | None:
    """The document with this id."""
    return await select_one(connection, select(documents).where(documents.c.id == id), Document)


async def select_documents(connection: AsyncConnection, kind: DocumentKind, limit: int, after: str | None = None) -> list[Document]:
    """A page of the documents of one kind, oldest first; `after` is the id that ended the page before, LookupError if there
    is no such document."""
    statement = select(documents).where(documents.c.kind == kind)
    if after is not None:
        ended = select(documents.c.position).where(documents.c.id == after)
        [last] = await select_place(connection, ended, f"document {after!r}")
        statement = statement.where(documents.c.position > last)
    return await select_all(connection, statement.order_by(documents.c.position).limit(limit), Document)
