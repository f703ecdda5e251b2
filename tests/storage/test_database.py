"""The database keeps what it has acknowledged, and a failure stays its own."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from storage.connect import database_url
from storage.conversations import insert_conversation
from storage.database import Database, DatabaseClosedError, UnavailableError
from storage.people import insert_person
from storage.records import Conversation
from storage.settings import Durability, StorageSettings
from storage.tables import people
from tests.databases import Place, fresh_postgresql
from tests.storage.loop import person, with_database

WAIT_S = 0.4
PATIENCE_S = 20


async def add(db: Database, id: str) -> None:
    await db.write(lambda connection: insert_person(connection, person(id)))


async def ids(connection: AsyncConnection) -> set[str]:
    return set((await connection.scalars(select(people.c.id))).all())


def ids_kept(place: Place) -> set[str]:
    """What a stranger to this process would find."""
    with create_engine(database_url(place), poolclass=NullPool).connect() as connection:
        return set(connection.scalars(select(people.c.id)))


async def dawdle(connection: AsyncConnection) -> None:
    """A statement that takes `WAIT_S` or so."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_sleep({WAIT_S})"))
    else:
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 800000) SELECT count(*) FROM n"
        await connection.execute(text(endless))


def test_those_who_wait_together_share_a_commit(place: Place) -> None:
    async def body(db: Database) -> None:
        await asyncio.gather(*(add(db, str(number)) for number in range(500)))
        assert db.commits <= 5
        assert await db.read(ids) == {str(number) for number in range(500)}

    with_database(place, body)


@pytest.mark.parametrize(("durability", "commits"), [("strict", 20), ("group", 1), ("async", 1)])
def test_only_strict_makes_a_commit_for_each(place: Place, durability: Durability, commits: int) -> None:
    async def run() -> int:
        db = await Database.open(place, StorageSettings(durability=durability))
        await asyncio.gather(*(add(db, str(number)) for number in range(20)))
        await db.close()
        return db.commits

    assert asyncio.run(run()) == commits


def test_an_acknowledged_write_is_there_for_everyone(place: Place) -> None:
    async def body(db: Database) -> None:
        for number in range(5):
            await add(db, str(number))
            assert str(number) in ids_kept(place)

    with_database(place, body)


def test_a_failing_operation_takes_back_only_its_own(place: Place) -> None:
    async def half(connection: AsyncConnection) -> None:
        await insert_person(connection, person("half"))
        raise LookupError("no more")

    async def body(db: Database) -> tuple[BaseException | None, ...]:
        await add(db, "a")
        writes = (add(db, "b"), add(db, "a"), db.write(half), add(db, "c"))
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert db.commits == 2
        return outcomes

    b, a, halved, c = with_database(place, body)
    assert (b, c) == (None, None)
    assert isinstance(a, IntegrityError)
    assert isinstance(halved, LookupError)
    assert ids_kept(place) == {"a", "b", "c"}


def test_a_failing_commit_fails_its_batch_and_no_other(place: Place) -> None:
    """The violation of a deferred constraint shows only at COMMIT."""

    async def orphan(connection: AsyncConnection) -> None:
        if connection.dialect.name == "sqlite":
            await connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        else:
            key = "ALTER TABLE conversations ADD CONSTRAINT late FOREIGN KEY (person_id) REFERENCES people DEFERRABLE"
            await connection.execute(text("ALTER TABLE conversations DROP CONSTRAINT conversations_person_id_fkey"))
            await connection.execute(text(f"{key} INITIALLY DEFERRED"))
        await insert_conversation(connection, Conversation("c", "nobody", 0.0))

    async def body(db: Database) -> tuple[BaseException | None, ...]:
        outcomes = await asyncio.gather(add(db, "lost"), db.write(orphan), return_exceptions=True)
        assert db.commits == 0
        await add(db, "kept")
        return outcomes

    assert all(isinstance(outcome, IntegrityError) for outcome in with_database(place, body))
    assert ids_kept(place) == {"kept"}


def test_a_busy_database_fails_the_batch_and_no_other(place: Place) -> None:
    """Somebody else holds a lock for longer than one waits."""

    async def impatient(connection: AsyncConnection) -> None:
        postgresql = connection.dialect.name == "postgresql"
        await connection.execute(text("SET lock_timeout = 10" if postgresql else "PRAGMA busy_timeout=10"))

    async def body(db: Database) -> None:
        await db.write(impatient)
        with create_engine(database_url(place), poolclass=NullPool).connect() as stranger:
            stranger.execute(text("LOCK TABLE people" if db.is_shared else "INSERT INTO people VALUES ('s', '', 0, TRUE)"))
            with pytest.raises(UnavailableError, match="lock"):
                await add(db, "lost")
        await add(db, "kept")

    with_database(place, body)
    assert ids_kept(place) == {"kept"}


def test_a_caller_who_leaves_between_begin_and_commit_does_not_hold_up_the_others(place: Place) -> None:
    async def body(db: Database) -> None:
        entered, loop = asyncio.Event(), asyncio.get_running_loop()

        async def linger(connection: AsyncConnection) -> None:
            await insert_person(connection, person("left"))
            loop.call_soon_threadsafe(entered.set)
            await dawdle(connection)

        running = asyncio.create_task(db.write(linger))
        await asyncio.wait_for(entered.wait(), PATIENCE_S)
        queued = asyncio.create_task(add(db, "queued"))
        waiting = asyncio.create_task(add(db, "stayed"))
        await asyncio.sleep(0)
        assert not running.done()
        running.cancel()
        queued.cancel()
        await asyncio.wait([running, queued])
        await asyncio.wait_for(waiting, PATIENCE_S)
        await asyncio.wait_for(add(db, "next"), PATIENCE_S)
        assert running.cancelled() and queued.cancelled()
        assert {"stayed", "next"} <= await db.read(ids)

    with_database(place, body)


def test_an_operation_that_awaits_something_else_fails_alone(tmp_path: Path) -> None:
    """On SQLite, where it would wait in the connection's thread for what happens in another."""

    async def body(db: Database) -> None:
        elsewhere = asyncio.get_running_loop().create_future()

        async def stray(connection: AsyncConnection) -> None:
            await insert_person(connection, person("lost"))
            await elsewhere

        stayed, strayed = await asyncio.gather(add(db, "kept"), db.write(stray), return_exceptions=True)
        assert stayed is None
        assert isinstance(strayed, RuntimeError) and "awaited something else" in str(strayed)
        assert await db.read(ids) == {"kept"}

    with_database(tmp_path / "db", body)


def test_the_event_loop_goes_on_while_an_operation_takes_its_time(place: Place) -> None:
    async def body(db: Database) -> None:
        slow, turns = asyncio.create_task(db.write(dawdle)), 0
        while not slow.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns >= 5

    with_database(place, body)


def test_more_than_may_wait_are_refused_at_once_and_not_kept(place: Place) -> None:
    async def run() -> list[BaseException | None]:
        db = await Database.open(place, StorageSettings(max_waiting_writes=5))
        writes = [asyncio.create_task(add(db, str(number))) for number in range(8)]
        await asyncio.sleep(0)
        assert [write.done() for write in writes] == [False] * 5 + [True] * 3
        with pytest.raises(UnavailableError, match="5 writes are waiting"):
            db.check_available()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        db.check_available()
        await db.close()
        return outcomes

    *kept, a, b, c = asyncio.run(run())
    assert kept == [None] * 5
    assert all(isinstance(refused, UnavailableError) for refused in (a, b, c))
    assert ids_kept(place) == set("01234")


def test_readers_cannot_write_and_do_not_see_what_is_not_committed(place: Place) -> None:
    async def body(db: Database) -> None:
        written, loop = asyncio.Event(), asyncio.get_running_loop()

        async def linger(connection: AsyncConnection) -> None:
            await insert_person(connection, person("writer"))
            loop.call_soon_threadsafe(written.set)
            await dawdle(connection)

        with pytest.raises(DBAPIError, match=r"readonly|read-only"):
            await db.read(lambda connection: insert_person(connection, person("reader")))
        writing = asyncio.create_task(db.write(linger))
        await asyncio.wait_for(written.wait(), PATIENCE_S)
        assert await db.read(ids) == set()
        assert not writing.done()
        await writing
        assert await db.read(ids) == {"writer"}

    with_database(place, body)


def test_closing_finishes_what_waits_and_leaves_no_thread(place: Place) -> None:
    before = threading.active_count()

    async def run() -> None:
        db = await Database.open(place)
        await db.read(ids)
        writes = [asyncio.create_task(add(db, str(number))) for number in range(300)]
        await asyncio.sleep(0)
        await db.close()
        await asyncio.gather(*writes)
        with pytest.raises(DatabaseClosedError):
            await add(db, "late")
        await db.close()
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(run())
    assert len(ids_kept(place)) == 300
    assert threading.active_count() == before


def test_a_lost_server_fails_the_batch_and_no_other(postgresql: str) -> None:
    """The connection that writes is ended between two writes, and in the middle of one."""

    async def own_number(connection: AsyncConnection) -> int:
        return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())

    async def end(connection: AsyncConnection, number: int) -> None:
        await connection.execute(text(f"SELECT pg_terminate_backend({number})"))

    async def body(db: Database) -> None:
        number = await db.write(own_number)
        await db.read(lambda connection: end(connection, number))
        with pytest.raises(UnavailableError):
            await add(db, "lost")
        await add(db, "kept")
        number = await db.write(own_number)
        writing = asyncio.create_task(db.write(dawdle))
        await asyncio.sleep(WAIT_S / 4)
        await db.read(lambda connection: end(connection, number))
        with pytest.raises(UnavailableError):
            await writing
        await add(db, "after")

    with fresh_postgresql(postgresql) as place:
        with_database(place, body)
        assert ids_kept(place) == {"kept", "after"}
