"""Documents: imported corpora, and what people wrote to be learnt from."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import in_turn
from storage.records import Document, DocumentKind
from storage.rows import insert, select_all, select_one, select_place
from storage.tables import documents, people


class SourceCount(Struct, frozen=True):
    """How many documents of a kind, domain and language came from a source."""

    kind: DocumentKind
    domain: str
    language: str
    source: str
    licence: str
    documents: int


async def insert_documents(connection: AsyncConnection, rows: Sequence[Document]) -> None:
    """Add documents in order; IntegrityError if an id is taken or a person unknown."""
    await insert(connection, documents, rows)


async def select_document(connection: AsyncConnection, id: str) -> Document | None:
    """The document with this id."""
    return await select_one(connection, select(documents).where(documents.c.id == id), Document)


async def insert_missing_documents(connection: AsyncConnection, rows: Sequence[Document]) -> int:
    """Add those, in order, whose id is not there yet; how many they were."""
    await in_turn(connection, "documents")  # two services that bring in the same would both add it
    ids = select(documents.c.id).where(documents.c.id.in_([row.id for row in rows]))
    known = set((await connection.execute(ids)).scalars())
    new = {row.id: row for row in rows if row.id not in known}
    await insert(connection, documents, list(new.values()))
    return len(new)


async def select_documents(
    connection: AsyncConnection, kind: DocumentKind | None, limit: int, after: str | None = None, domain: str | None = None
) -> list[Document]:
    """A page of the documents of one kind or domain, oldest first; `after` is the id that ended the page before, LookupError if
    there is no such document."""
    statement = select(documents)
    if kind is not None:
        statement = statement.where(documents.c.kind == kind)
    if domain is not None:
        statement = statement.where(documents.c.domain == domain)
    if after is not None:
        ended = select(documents.c.position).where(documents.c.id == after)
        [last] = await select_place(connection, ended, f"document {after!r}")
        statement = statement.where(documents.c.position > last)
    return await select_all(connection, statement.order_by(documents.c.position).limit(limit), Document)


async def select_some(
    connection: AsyncConnection, kind: DocumentKind, domain: str, count: int, chance: float, source: str | None = None
) -> list[Document]:
    """Up to `count` documents of a kind and domain, from a place between the first (`chance` 0) and the last (1), round to the
    first again. The same for the same documents and chance. Of people who let cycles learn from them, or of nobody here.
    Where a source is named, only of that."""
    own = [documents.c.kind == kind, documents.c.domain == domain, *([documents.c.source == source] if source is not None else [])]
    ends = (await connection.execute(select(func.min(documents.c.position), func.max(documents.c.position)).where(*own))).one()
    if ends[0] is None:
        return []
    start = ends[0] + int(chance * (ends[1] - ends[0] + 1))
    willing = select(documents).outerjoin(people, people.c.id == documents.c.person_id)
    willing = willing.where(*own, or_(documents.c.person_id.is_(None), people.c.learn)).order_by(documents.c.position)
    after = await select_all(connection, willing.where(documents.c.position >= start).limit(count), Document)
    before = willing.where(documents.c.position < start).limit(count - len(after))
    return [*after, *(await select_all(connection, before, Document) if len(after) < count else ())]


async def count_sources(connection: AsyncConnection) -> list[SourceCount]:
    """What there is and where it came from, in order of kind, domain, language and source."""
    columns = documents.c
    group = (columns.kind, columns.domain, columns.language, columns.source, columns.licence)
    statement = select(*group, func.count().label("documents")).group_by(*group).order_by(*group)
    return await select_all(connection, statement, SourceCount)


async def delete_documents(connection: AsyncConnection, source: str, limit: int) -> int:
    """Delete up to `limit` documents that were imported from this source, and none that people here wrote; how many."""
    imported = select(documents.c.position).where(documents.c.source == source, documents.c.person_id.is_(None)).limit(limit)
    positions = list((await connection.execute(imported)).scalars())
    await connection.execute(delete(documents).where(documents.c.position.in_(positions)))
    return len(positions)
