"""How the two databases are opened, and all in which they differ.

SQLite has one writing connection in one process. PostgreSQL may have many services: `in_turn` makes them wait for each
other where the order of commits matters.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import (
    JSON,
    URL,
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    cast,
    create_engine,
    event,
    func,
    make_url,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from storage.prepared import at_hand
from storage.settings import Durability
from storage.thread import ThreadConnection

T = TypeVar("T")
READERS = 4
BUSY_TIMEOUT_MS = 5_000
SWEEP_TIMEOUT_MS = 200  # a sweep holds up writes: it rather tries again
PRAGMAS = (
    "journal_mode=WAL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "temp_store=MEMORY",  # what a savepoint may have to take back: a file for it costs more than the memory
    "secure_delete=ON",  # what is deleted is overwritten: a person who is forgotten must not linger in free pages
)
PRIVATE = {"hide_parameters": True}  # values stay out of errors and so out of logs: they are what people said
SYNCHRONOUS: Mapping[Durability, str] = {"strict": "FULL", "group": "FULL", "async": "NORMAL"}
SYNCHRONOUS_COMMIT: Mapping[Durability, str] = {"strict": "on", "group": "on", "async": "off"}


def database_url(place: Path | str) -> URL:
    """A file's path, or a URL of PostgreSQL, as SQLAlchemy's URL. Raises ValueError for another kind of database."""
    if isinstance(place, Path):
        return URL.create("sqlite", database=str(place))
    url = make_url(place)
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"storage.url is {place.split(':')[0]!r}…, expected postgresql://…")
    return url.set(drivername="postgresql+psycopg")


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def open_writer(url: URL, durability: Durability) -> AsyncEngine:
    """An engine of a single connection, for the one task that writes."""
    if is_sqlite(url):
        writing = partial(ThreadConnection.to, Path(url.database or ""))
        driver = url.set(drivername="sqlite+aiosqlite")
        engine = create_async_engine(
            driver, async_creator=writing, pool_size=1, max_overflow=0, json_serializer=_to_json, **PRIVATE
        )
        _prepare_sqlite(engine.sync_engine, "BEGIN IMMEDIATE", (*PRAGMAS, f"synchronous={SYNCHRONOUS[durability]}"))
        return engine
    options = f"-c synchronous_commit={SYNCHRONOUS_COMMIT[durability]}"
    return create_async_engine(url, pool_size=1, max_overflow=0, connect_args={"options": options}, pool_pre_ping=True, **PRIVATE)


def open_readers(url: URL) -> AsyncEngine:
    """A few connections that cannot write; a transaction on one sees a single state of the database."""
    if is_sqlite(url):
        engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), pool_size=READERS, max_overflow=0, **PRIVATE)
        _prepare_sqlite(engine.sync_engine, "BEGIN", (*PRAGMAS, "query_only=ON"))
        return engine
    return create_async_engine(
        url,
        pool_size=READERS,
        max_overflow=0,
        isolation_level="REPEATABLE READ",
        connect_args={"options": "-c default_transaction_read_only=on"},
        pool_pre_ping=True,
        **PRIVATE,
    )


def open_for_migration(url: URL) -> Engine:
    """A synchronous engine. On SQLite without foreign keys, as tables that others refer to are made anew."""
    engine = create_engine(url, **PRIVATE)
    if is_sqlite(url):
        _prepare_sqlite(engine, "BEGIN IMMEDIATE", [pragma for pragma in PRAGMAS if not pragma.startswith("foreign_keys")])
    return engine


async def run_beside(connection: AsyncConnection, work: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine that awaits nothing but a writer's connection.

    On SQLite it runs in the connection's thread, all in one hop: there it does not hold up the event loop either.
    """
    if connection.dialect.name != "sqlite":
        return await work
    driver: Any = (await connection.get_raw_connection()).driver_connection
    outcome: T = await driver.run(work)
    return outcome


async def command(connection: AsyncConnection, words: str) -> None:
    """A command without values or rows, like SAVEPOINT: where it can past SQLAlchemy, which takes ten times as long."""
    if (sqlite := at_hand(connection)) is not None:
        sqlite.execute(words)
    else:
        await connection.exec_driver_sql(words)


async def in_turn(connection: AsyncConnection, what: str) -> None:
    """Waits until no other service's transaction is in `what`, and keeps them out until this one ends.

    Nothing to do on SQLite, where only one connection ever writes.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(what))))


async def clock_s(connection: AsyncConnection) -> float:
    """Seconds since the Unix epoch by the one clock that all services of this database share."""
    if connection.dialect.name == "postgresql":
        return float((await connection.execute(select(func.extract("epoch", func.clock_timestamp())))).scalar_one())
    return time.time()


async def insert_missing(connection: AsyncConnection, table: Table, record: Struct) -> None:
    """Adds a row, unless there is one with its key already."""
    insert: Callable[[Table], Any] = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    await connection.execute(insert(table).values(msgspec.structs.asdict(record)).on_conflict_do_nothing())


def has_pair(connection: AsyncConnection, column: ColumnElement[Any], key: str, value: str) -> ColumnElement[bool]:
    """Whether the column's JSON object has this string under this key, whatever characters they are made of."""
    unfold = func.json_each if connection.dialect.name == "sqlite" else func.json_each_text
    pairs = unfold(column).table_valued("key", "value")
    return select(pairs.c.key).where(pairs.c.key == key, pairs.c.value == value).exists()


def json_text(connection: AsyncConnection, column: ColumnElement[Any], key: str) -> ColumnElement[str]:
    """The string under this key of the column's JSON object, which is kept as text."""
    if connection.dialect.name == "sqlite":
        return func.json_extract(column, f"$.{key}")
    return func.json_extract_path_text(cast(type_coerce(column, Text), JSON), key)


async def truncate_log(connection: AsyncConnection) -> bool:
    """Takes old pages out of SQLite's write-ahead log, on the connection that writes, between two of its transactions.

    Pages of the database itself hold nothing deleted (see `PRAGMAS`). False, soon, while others read an older state.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.execute_fetchall(f"PRAGMA busy_timeout={SWEEP_TIMEOUT_MS}")
    try:
        [[is_busy, _, _]] = await driver.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        return not is_busy
    finally:
        await driver.execute_fetchall(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


async def vacuum(url: URL) -> None:
    """Has PostgreSQL give up deleted rows, beside whoever writes. The server overwrites their bytes in its own time."""
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql("VACUUM")


def is_unavailable(error: Exception) -> bool:
    """Whether an error is the database's state (a full disk, a broken disk, a lost server), not a wrong statement."""
    return isinstance(error, OperationalError | sqlite3.OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _prepare_sqlite(engine: Engine, begin: str, pragmas: Sequence[str]) -> None:
    """Set the pragmas on every new connection, and begin transactions with a statement of ours, not the driver's."""

    def connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own BEGIN off: it would come late, and not before DDL
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    def abandon(connection: DBAPIConnection, _record: ConnectionPoolEntry, _error: BaseException | None) -> None:
        # A statement that was cut off keeps a closed connection alive, with its lock, until it is collected as garbage.
        with suppress(sqlite3.Error):
            connection.rollback()

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", start)
    event.listen(engine, "invalidate", abandon)
