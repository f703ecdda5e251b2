"""Between Structs and rows: what the modules with the SQL verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Executable, Table
from sqlalchemy.ext.asyncio import AsyncConnection

Record = TypeVar("Record", bound=Struct)


async def insert(connection: AsyncConnection, table: Table, records: Sequence[Struct]) -> None:
    """Add the records in order; none is fine. The table's columns are the Struct's fields."""
    if records:  # SQLAlchemy reads an empty list as "one row of defaults"
        await connection.execute(table.insert(), [msgspec.structs.asdict(record) for record in records])


async def insert_numbered(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> int:
    """Add one row to a table whose integer `id` orders it; returns that id, above all before it."""
    result = await connection.execute(table.insert().values(values))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


async def select_one(connection: AsyncConnection, statement: Executable, kind: type[Record]) -> Record | None:
    """The first row as a Struct, or None. Columns the Struct does not name are left out."""
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else msgspec.convert(row, kind)


async def select_all(connection: AsyncConnection, statement: Executable, kind: type[Record]) -> list[Record]:
    """Every row as a Struct, in the statement's order."""
    rows = (await connection.execute(statement)).mappings()
    return [msgspec.convert(row, kind) for row in rows]


async def select_number(connection: AsyncConnection, statement: Executable) -> int:
    """The single number of an aggregate, 0 where it is NULL (the maximum of nothing)."""
    return int((await connection.execute(statement)).scalar_one() or 0)
