"""Imports: which files came in as documents, and how far one is whose import was cut off."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import in_turn
from storage.records import Import
from storage.rows import insert, select_all, select_one
from storage.tables import imports

_BY_ID = select(imports).where(imports.c.id == bindparam("id"))


class MovedError(Exception):
    """The same file is brought in by somebody else, or its source was taken back meanwhile."""


async def begin_import(connection: AsyncConnection, file: Import) -> Import:
    """The import as it goes on: from where it was cut off, or from the beginning where it is new or had come to its end."""
    await in_turn(connection, "documents")
    found = await select_import(connection, file.id)
    if found is None:
        await insert(connection, imports, [file])
        return file
    if found.ended_at_s is None:
        return found
    again = {"records": 0, "skipped": 0, "started_at_s": file.started_at_s, "ended_at_s": None}
    await connection.execute(update(imports).where(imports.c.id == file.id).values(again))
    return Import(found.id, found.source, found.layout, found.kind, 0, found.added, 0, file.started_at_s)


async def advance_import(connection: AsyncConnection, id: str, after: int, records: int, added: int, skipped: int) -> None:
    """Counts what came in of the records that follow the first `after`, in the transaction that brought it in.

    Raises MovedError where the import is not there any more.
    """
    columns = imports.c
    values = {columns.records: after + records, columns.added: columns.added + added, columns.skipped: columns.skipped + skipped}
    own = (columns.id == id, columns.records == after, columns.ended_at_s.is_(None))
    if (await connection.execute(update(imports).where(*own).values(values))).rowcount != 1:
        raise MovedError(f"the import is not at record {after} any more: it goes on elsewhere, or its source was taken back")


async def finish_import(connection: AsyncConnection, id: str, ended_at_s: float) -> None:
    """Everything of the file is in."""
    await connection.execute(update(imports).where(imports.c.id == id).values(ended_at_s=ended_at_s))


async def select_import(connection: AsyncConnection, id: str) -> Import | None:
    """The import with this id."""
    return await select_one(connection, _BY_ID, Import, id=id)


async def select_imports(connection: AsyncConnection, limit: int) -> list[Import]:
    """The newest `limit`, newest first."""
    statement = select(imports).order_by(imports.c.started_at_s.desc(), imports.c.id).limit(limit)
    return await select_all(connection, statement, Import)


async def delete_imports(connection: AsyncConnection, source: str) -> int:
    """Forget which files of this source came in; how many they were."""
    found = select(func.count()).select_from(imports).where(imports.c.source == source)
    count = int((await connection.execute(found)).scalar_one())
    await connection.execute(delete(imports).where(imports.c.source == source))
    return count
