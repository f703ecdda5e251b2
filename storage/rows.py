"""Between Structs and rows: what the modules with the SQL verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Executable, Insert, Row, Select, Table, Update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.prepared import at_hand, prepare

Record = TypeVar("Record", bound=Struct)


async def insert(connection: AsyncConnection, table: Table, records: Sequence[Struct]) -> None:
    """Add the records in order; none is fine. The table's columns are the Struct's fields."""
    if not records:  # SQLAlchemy reads an empty list as "one row of defaults"
        return
    statement, rows = _insertion(table), [msgspec.structs.asdict(record) for record in records]
    if (sqlite := at_hand(connection)) is not None:
        prepared = prepare(statement, connection.dialect, records[0].__struct_fields__)
        for row in rows:
            prepared.run(sqlite, row)
    else:
        await connection.execute(statement, rows)


@cache
def _insertion(table: Table) -> Insert:
    """Built once, as `prepare` wants it."""
    return table.insert()


async def insert_numbered(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> int:
    """Add one row to a table whose integer `id` orders it; returns that id, above all before it."""
    if (sqlite := at_hand(connection)) is not None:
        return int(prepare(_insertion(table), connection.dialect, tuple(values)).execute(sqlite, values).lastrowid or 0)
    result = await connection.execute(table.insert().values(values))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


async def change(connection: AsyncConnection, statement: Update, **values: object) -> int:
    """How many rows an UPDATE changed that is built once, with a `bindparam` for each value: it is kept for good."""
    if (sqlite := at_hand(connection)) is not None:
        return prepare(statement, connection.dialect, tuple(values)).execute(sqlite, values).rowcount
    return (await connection.execute(statement, values)).rowcount


async def select_one(
    connection: AsyncConnection, statement: Select[Any], kind: type[Record], is_built: bool = False, **values: object
) -> Record | None:
    """The first row as a Struct, or None. Columns the Struct does not name are left out.

    A statement that `is_built` once, as any with values is, with a `bindparam` for each, is prepared, and kept for good.
    """
    rows = await select_all(connection, statement, kind, is_built, **values)
    return rows[0] if rows else None


async def select_all(
    connection: AsyncConnection, statement: Select[Any], kind: type[Record], is_built: bool = False, **values: object
) -> list[Record]:
    """Every row as a Struct, in the statement's order; values, and what `is_built`, as of `select_one`."""
    if (values or is_built) and (sqlite := at_hand(connection)) is not None:
        rows = prepare(statement, connection.dialect, tuple(values)).run(sqlite, values)
        return [msgspec.convert(row, kind) for row in rows]
    return [to_record(row, kind) for row in await connection.execute(statement, values)]


def to_record(row: Row[Any], kind: type[Record]) -> Record:
    """A row as a Struct. Not by the row's mapping: for msgspec, its methods would hide a column named `items` or `keys`."""
    return msgspec.convert(dict(zip(map(str, row._fields), row, strict=True)), kind)


async def select_place(connection: AsyncConnection, statement: Executable, name: str) -> tuple[Any, ...]:
    """What a row that ended a page is sorted by; LookupError, which says the name, if there is no such row."""
    row = (await connection.execute(statement)).first()
    if row is None:
        raise LookupError(f"no {name}")
    return tuple(row)


async def select_number(connection: AsyncConnection, statement: Executable) -> int:
    """The single number of an aggregate, 0 where it is NULL (the maximum of nothing)."""
    return int((await connection.execute(statement)).scalar_one() or 0)
