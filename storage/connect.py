"""How the two databases are opened, and all in which they differ.

SQLite has one writing connection in one process. PostgreSQL may have many services: `in_turn` makes them wait for each
other where the order of commits matters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, make_url, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from storage.settings import Durability

READERS = 4
BUSY_TIMEOUT_MS = 5_000
PRAGMAS = (
    "journal_mode=WAL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "secure_delete=ON",  # what is deleted is overwritten: a person who is forgotten must not linger in free pages
)
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
        engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), pool_size=1, max_overflow=0)
        _prepare_sqlite(engine.sync_engine, "BEGIN IMMEDIATE", (*PRAGMAS, f"synchronous={SYNCHRONOUS[durability]}"))
        return engine
    options = f"-c synchronous_commit={SYNCHRONOUS_COMMIT[durability]}"
    return create_async_engine(url, pool_size=1, max_overflow=0, connect_args={"options": options}, pool_pre_ping=True)


def open_readers(url: URL) -> AsyncEngine:
    """A few connections that cannot write; a transaction on one sees a single state of the database."""
    if is_sqlite(url):
        engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), pool_size=READERS, max_overflow=0)
        _prepare_sqlite(engine.sync_engine, "BEGIN", (*PRAGMAS, "query_only=ON"))
        return engine
    return create_async_engine(
        url,
        pool_size=READERS,
        max_overflow=0,
        isolation_level="REPEATABLE READ",
        connect_args={"options": "-c default_transaction_read_only=on"},
        pool_pre_ping=True,
    )


def open_for_migration(url: URL) -> Engine:
    """A synchronous engine. On SQLite without foreign keys, as tables that others refer to are made anew."""
    engine = create_engine(url)
    if is_sqlite(url):
        _prepare_sqlite(engine, "BEGIN IMMEDIATE", [pragma for pragma in PRAGMAS if not pragma.startswith("foreign_keys")])
    return engine


async def in_turn(connection: AsyncConnection, what: str) -> None:
    """Waits until no other service's transaction is in `what`, and keeps them out until this one ends.

    Nothing to do on SQLite, where only one connection ever writes.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(what))))


async def insert_missing(connection: AsyncConnection, table: Table, record: Struct) -> None:
    """Adds a row, unless there is one with its key already."""
    insert: Callable[[Table], Any] = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    await connection.execute(insert(table).values(msgspec.structs.asdict(record)).on_conflict_do_nothing())


def is_unavailable(error: Exception) -> bool:
    """Whether an error is the database's state (a full disk, a broken disk, a lost server), not a wrong statement."""
    return isinstance(error, OperationalError | sqlite3.OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


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
