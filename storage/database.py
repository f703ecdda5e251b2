"""The SQLite database: one connection that writes, in batches, and a few that read.

`await db.write(fn)` returns when what `fn` wrote is on disk. Everyone who waits at the same moment shares one commit
(one fsync), yet each `fn` has its own savepoint, so one that fails takes back only its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")
Operation = Callable[[AsyncConnection], Awaitable[T]]
Waiting = tuple[Operation[Any], asyncio.Future[Any]]
Settlement = Callable[[], None]  # tells the caller how it went

BATCH = 256  # operations that share a commit, at most
WAITING = 4096  # operations in the queue before `write` itself waits
READERS = 4
BUSY_TIMEOUT_MS = 5_000
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}")


class NewerSchemaError(Exception):
    """The database was made by a newer version of this program, which must not touch it."""


class DatabaseClosedError(Exception):
    """The database was asked to write after its end."""


class Database:
    """An open database. Make one with `open`, in the event loop that uses it, and `close` it: threads hang on it."""

    def __init__(self, writing: AsyncEngine, reading: AsyncEngine, connection: AsyncConnection) -> None:
        self.commits = 0
        self._writing, self._reading, self._connection = writing, reading, connection
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(WAITING)
        self._closing = False
        self._writer = asyncio.create_task(self._write_batches(), name="storage-writer")

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Bring the file up to today's tables (see `migrate`) and open it; it is made if it is not there."""
        await asyncio.to_thread(migrate, path)
        url = URL.create("sqlite+aiosqlite", database=str(path))
        writing = create_async_engine(url, pool_size=1, max_overflow=0)
        reading = create_async_engine(url, pool_size=READERS, max_overflow=0)
        _prepare(writing.sync_engine, "BEGIN IMMEDIATE", PRAGMAS)
        _prepare(reading.sync_engine, "BEGIN", (*PRAGMAS, "query_only=ON"))
        return cls(writing, reading, await writing.connect())

    async def write(self, operation: Operation[T]) -> T:
        """Run the operation in a transaction; what it returns or raises comes back once that is committed or undone.

        It runs alone, in the order of arrival, on the only connection that writes: it awaits nothing but that
        connection, sets itself no timeout, and neither begins nor commits. If the shared commit fails, every operation
        of the batch raises its error and none is kept. A caller that is cancelled does not learn whether its operation
        was committed. DatabaseClosedError after `close`.
        """
        if self._closing or self._writer.done():
            raise DatabaseClosedError("the database is closed")
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put((operation, outcome))
        return await outcome

    async def read(self, operation: Operation[T]) -> T:
        """Run the operation on one consistent state of the database, beside the writer; writing raises."""
        async with self._reading.connect() as connection:
            return await operation(connection)

    async def close(self) -> None:
        """Finish what is queued, then end every connection and its thread. Closing again does nothing."""
        self._closing = True
        if not self._writer.done():
            await self._queue.join()
            self._writer.cancel()
        await asyncio.wait([self._writer])
        await self._connection.close()
        await self._writing.dispose()
        await self._reading.dispose()

    async def _write_batches(self) -> None:
        try:
            while True:
                await self._write_batch(await self._next_batch())
        finally:
            while not self._queue.empty():  # the event loop ends without `close`
                _, outcome = self._queue.get_nowait()
                _fail(outcome, DatabaseClosedError("the event loop ended before the write"))

    async def _next_batch(self) -> list[Waiting]:
        batch = [await self._queue.get()]
        while len(batch) < BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    async def _write_batch(self, batch: list[Waiting]) -> None:
        """Commit the batch and then, never before, tell its callers."""
        try:
            settlements = await self._commit(batch)
        except Exception as error:
            settlements = [partial(_fail, outcome, error) for _, outcome in batch]
            await self._roll_back()
        except asyncio.CancelledError:
            cut_off = DatabaseClosedError("the event loop ended during the write")
            settlements = [partial(_fail, outcome, cut_off) for _, outcome in batch]
            raise
        finally:
            for settle in settlements:
                settle()
                self._queue.task_done()

    async def _commit(self, batch: list[Waiting]) -> list[Settlement]:
        async with self._connection.begin():
            settlements = [await self._apply(operation, outcome) for operation, outcome in batch]
        self.commits += 1
        return settlements

    async def _apply(self, operation: Operation[T], outcome: asyncio.Future[T]) -> Settlement:
        savepoint = await self._connection.begin_nested()
        try:
            result = await operation(self._connection)
        except Exception as error:
            # After some errors (a full disk) SQLite drops the whole transaction: this raises, and the batch fails.
            await savepoint.rollback()
            return partial(_fail, outcome, error)
        await savepoint.commit()
        return partial(_resolve, outcome, result)

    async def _roll_back(self) -> None:
        """End the transaction that a failed COMMIT leaves open: to SQLAlchemy it is over, to SQLite it is not."""
        driver = (await self._connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.rollback()


def migrate(path: Path) -> None:
    """Bring the database at `path` up to today's tables, in one transaction; it is made if it is not there.

    NewerSchemaError, and nothing is changed, if it is at a revision that this version does not know.
    """
    engine = create_engine(URL.create("sqlite", database=str(path)))
    _prepare(engine, "BEGIN IMMEDIATE", [pragma for pragma in PRAGMAS if not pragma.startswith("foreign_keys")])
    try:
        with engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", "storage:migrations")
            config.attributes["connection"] = connection
            _refuse_newer(path, connection, ScriptDirectory.from_config(config))
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _refuse_newer(path: Path, connection: Connection, scripts: ScriptDirectory) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        newest = scripts.get_current_head()
        raise NewerSchemaError(f"{path} is at schema {revision!r}; this version knows schemas up to {newest!r}")


def _prepare(engine: Engine, begin: str, pragmas: Sequence[str]) -> None:
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


def _resolve(outcome: asyncio.Future[T], result: T) -> None:
    if not outcome.done():  # done: its caller was cancelled
        outcome.set_result(result)


def _fail(outcome: asyncio.Future[T], error: Exception) -> None:
    if not outcome.done():
        outcome.set_exception(error)
