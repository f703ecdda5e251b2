"""The database: one connection that writes, in batches, and a few that read.

`await db.write(fn)` returns when what `fn` wrote is as safe as the durability says:

| durability | a commit holds                   | when `write` returns, it survives |
|------------|----------------------------------|-----------------------------------|
| `strict`   | one operation                    | a power cut                       |
| `group`    | all that waited at the same time | a power cut                       |
| `async`    | all that waited at the same time | the end of the process            |

Whoever shares a commit shares one fsync, yet each `fn` has its own savepoint, so one that fails takes back only its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.connect import (
    command,
    database_url,
    is_sqlite,
    is_unavailable,
    open_readers,
    open_writer,
    run_beside,
    truncate_log,
    vacuum,
)
from storage.migrate import migrate
from storage.settings import StorageSettings

T = TypeVar("T")
Operation = Callable[[AsyncConnection], Awaitable[T]]
Waiting = tuple[Operation[Any], asyncio.Future[Any]]
Settlement = Callable[[], None]  # tells the caller how it went

BATCH = 256  # operations that share a commit, at most
RETRY_AFTER_S = 2.0  # after a commit that failed, before work is taken on again whose outcome must be kept
SWEEP_S = 60.0  # how long a sweep tries for a moment in which nobody reads what was deleted
SWEEP_AGAIN_S = 0.2


class UnavailableError(Exception):
    """Nothing was kept, and the same may work later: the queue or the disk is full, or the database is out of reach."""


class DatabaseClosedError(Exception):
    """The database was asked to write after its end."""


class Database:
    """An open database. Make one with `open`, in the event loop that uses it, and `close` it: threads hang on it."""

    def __init__(self, writing: AsyncEngine, reading: AsyncEngine, settings: StorageSettings) -> None:
        self.commits = 0
        self.is_shared = not is_sqlite(writing.url)  # whether other services may use it at the same time
        self._problem: tuple[str, float] | None = None  # why the last commit failed, and when; None while all is well
        self._writing, self._reading = writing, reading
        self._connection: AsyncConnection | None = None
        self._batch = 1 if settings.durability == "strict" else BATCH
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(settings.max_waiting_writes)
        self._between_commits = asyncio.Lock()
        self._closing = False
        self._writer = asyncio.create_task(self._write_batches(), name="storage-writer")

    @classmethod
    async def open(cls, place: Path | str, settings: StorageSettings | None = None) -> Database:
        """Bring a file or a PostgreSQL URL up to today's tables (see `migrate`) and open it; a missing file is made."""
        settings, url = settings or StorageSettings(), database_url(place)
        await asyncio.to_thread(migrate, place)
        return cls(open_writer(url, settings.durability), open_readers(url), settings)

    async def write(self, operation: Operation[T]) -> T:
        """Run the operation in a transaction; what it returns or raises comes back once that is committed or undone.

        It runs alone, in the order of arrival, on the only connection that writes, and perhaps in that connection's
        thread: it awaits nothing but that connection, sets itself no timeout, and neither begins nor commits. If the
        shared commit fails, every operation of the batch raises its error and none is kept. A caller that is cancelled
        does not learn whether its operation was committed. UnavailableError, at once, when too many wait, or when the
        disk or server fails; DatabaseClosedError after `close`.
        """
        if self._closing or self._writer.done():
            raise DatabaseClosedError("the database is closed")
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((operation, outcome))
        except asyncio.QueueFull:
            raise UnavailableError(f"{self._queue.maxsize} writes are waiting already") from None
        return await outcome

    async def read(self, operation: Operation[T]) -> T:
        """Run the operation on one consistent state of the database, beside the writer; writing raises."""
        try:
            async with self._reading.connect() as connection:
                return await operation(connection)
        except OverflowError as error:
            raise _out_of_range(error) from error

    @property
    def waiting(self) -> int:
        """Writes that nobody has begun yet."""
        return self._queue.qsize()

    @property
    def is_writing(self) -> bool:
        """Whether there is somebody to do what `write` asks for."""
        return not self._writer.done()

    def check_available(self) -> None:
        """Raise UnavailableError when a write would most likely be refused: before work whose outcome must be kept."""
        if self._queue.full():
            raise UnavailableError(f"{self._queue.maxsize} writes are waiting already")
        if self._problem is not None and time.monotonic() - self._problem[1] < RETRY_AFTER_S:  # later, one may try
            raise UnavailableError(self._problem[0])

    async def sweep(self) -> None:
        """Take what was deleted out of the database's files too; writes go on meanwhile.

        UnavailableError when something has been reading an old state of the database for a minute: ask again.
        """
        if self.is_shared:
            await vacuum(self._writing.url)
            return
        deadline = time.monotonic() + SWEEP_S
        while not await self._truncate_log():
            if time.monotonic() > deadline:
                raise UnavailableError(f"a read has held on to deleted rows for {SWEEP_S:g} s")
            await asyncio.sleep(SWEEP_AGAIN_S)

    async def _truncate_log(self) -> bool:
        async with self._between_commits:
            if self._connection is None:
                self._connection = await self._writing.connect()
            try:
                return await truncate_log(self._connection)
            except Exception as error:
                raise self._failure(error) from error

    async def close(self) -> None:
        """Finish what is queued, then end every connection and its thread. Closing again does nothing."""
        self._closing = True
        if not self._writer.done():
            await self._queue.join()
            self._writer.cancel()
        await asyncio.wait([self._writer])
        if self._connection is not None:
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
        while len(batch) < self._batch and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    async def _write_batch(self, batch: list[Waiting]) -> None:
        """Commit the batch and then, never before, tell its callers."""
        try:
            async with self._between_commits:
                settlements = await self._commit(batch)
            self._problem = None
        except Exception as error:
            settlements = [partial(_fail, outcome, self._failure(error)) for _, outcome in batch]
            await self._abandon_connection()
        except asyncio.CancelledError:
            cut_off = DatabaseClosedError("the event loop ended during the write")
            settlements = [partial(_fail, outcome, cut_off) for _, outcome in batch]
            raise
        finally:
            for settle in settlements:
                settle()
                self._queue.task_done()

    async def _commit(self, batch: list[Waiting]) -> list[Settlement]:
        if self._connection is None:
            self._connection = await self._writing.connect()
        settlements = await run_beside(self._connection, self._transact(self._connection, batch))
        self.commits += 1
        return settlements

    async def _transact(self, connection: AsyncConnection, batch: list[Waiting]) -> list[Settlement]:
        async with connection.begin():
            return [await self._apply(connection, operation, outcome) for operation, outcome in batch]

    async def _apply(self, connection: AsyncConnection, operation: Operation[T], outcome: asyncio.Future[T]) -> Settlement:
        await command(connection, "SAVEPOINT operation")  # by hand: SQLAlchemy compiles its own anew each time
        try:
            settlement: Settlement = partial(_resolve, outcome, await operation(connection))
        except Exception as error:
            await _take_back(connection, error)
            settlement = partial(_fail, outcome, self._failure(error))
        await command(connection, "RELEASE SAVEPOINT operation")
        return settlement

    def _failure(self, error: Exception) -> Exception:
        """The error as callers see it."""
        if isinstance(error, OverflowError):
            return _out_of_range(error)
        if not is_unavailable(error):
            return error
        reason = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        self._problem = reason, time.monotonic()
        unavailable = UnavailableError(reason)
        unavailable.__cause__ = error
        return unavailable

    async def _abandon_connection(self) -> None:
        """After a COMMIT that failed nobody knows what state the connection is in: the next batch gets another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # whatever it says, it is given up
                await connection.invalidate()
            with suppress(Exception):
                await connection.close()


async def _take_back(connection: AsyncConnection, error: Exception) -> None:
    """Undo an operation after its error. Some errors (a full disk, a lost server) undo the whole transaction: then the
    batch fails, and of that error."""
    try:
        await command(connection, "ROLLBACK TO SAVEPOINT operation")
    except Exception as consequence:
        raise (error if is_unavailable(error) else consequence) from None


def _out_of_range(error: OverflowError) -> DataError:
    """What PostgreSQL says of an integer that no column holds, where SQLite's driver says something of its own."""
    return DataError("", None, error)


def _resolve(outcome: asyncio.Future[T], result: T) -> None:
    if not outcome.done():  # done: its caller was cancelled
        outcome.set_result(result)


def _fail(outcome: asyncio.Future[T], error: Exception) -> None:
    if not outcome.done():
        outcome.set_exception(error)
