"""The database keeps what it has acknowledged, and a failure stays its own."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database, DatabaseClosedError, UnavailableError
from storage.people import insert_person
from storage.tables import people
from tests.storage.loop import person, with_database

ROOT = Path(__file__).parents[2]
WRITE_UNTIL_KILLED = """
import asyncio, itertools, sys
from pathlib import Path
from storage.database import Database
from storage.people import insert_person
from storage.records import Person

async def write(db, writer):
    for number in itertools.count():
        id = f"{writer}-{number}"
        await db.write(lambda connection: insert_person(connection, Person(id, "", 0.0)))
        print(id, flush=True)

async def main():
    db = await Database.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(db, writer) for writer in range(8)))

asyncio.run(main())
"""


async def add(db: Database, id: str) -> None:
    await db.write(lambda connection: insert_person(connection, person(id)))


async def ids(connection: AsyncConnection) -> set[str]:
    return set((await connection.scalars(select(people.c.id))).all())


def ids_on_disk(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = {id for (id,) in connection.execute("SELECT id FROM people")}
    connection.close()
    return found


def test_those_who_wait_together_share_a_commit(tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        await asyncio.gather(*(add(db, str(number)) for number in range(500)))
        assert db.commits <= 5
        assert await db.read(ids) == {str(number) for number in range(500)}

    with_database(tmp_path / "db", body)


def test_an_acknowledged_write_is_there_for_everyone(tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        for number in range(5):
            await add(db, str(number))
            assert str(number) in ids_on_disk(tmp_path / "db")

    with_database(tmp_path / "db", body)


def test_a_failing_operation_takes_back_only_its_own(tmp_path: Path) -> None:
    async def half(connection: AsyncConnection) -> None:
        await insert_person(connection, person("half"))
        raise LookupError("no more")

    async def body(db: Database) -> tuple[BaseException | None, ...]:
        await add(db, "a")
        writes = (add(db, "b"), add(db, "a"), db.write(half), add(db, "c"))
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert db.commits == 2
        return outcomes

    b, a, halved, c = with_database(tmp_path / "db", body)
    assert (b, c) == (None, None)
    assert isinstance(a, IntegrityError)
    assert isinstance(halved, LookupError)
    assert ids_on_disk(tmp_path / "db") == {"a", "b", "c"}


def test_a_failing_commit_fails_its_batch_and_no_other(tmp_path: Path) -> None:
    async def orphan(connection: AsyncConnection) -> None:
        await connection.execute(text("PRAGMA defer_foreign_keys=ON"))  # the violation shows only at COMMIT
        await connection.execute(text("INSERT INTO conversations (id, person_id, created_at_s) VALUES ('c', 'nobody', 0)"))

    async def body(db: Database) -> tuple[BaseException | None, ...]:
        outcomes = await asyncio.gather(add(db, "lost"), db.write(orphan), return_exceptions=True)
        assert db.commits == 0
        await add(db, "kept")
        return outcomes

    assert all(isinstance(outcome, IntegrityError) for outcome in with_database(tmp_path / "db", body))
    assert ids_on_disk(tmp_path / "db") == {"kept"}


def test_a_busy_database_fails_the_batch_and_no_other(tmp_path: Path) -> None:
    async def impatient(connection: AsyncConnection) -> None:
        await connection.execute(text("PRAGMA busy_timeout=10"))

    async def body(db: Database) -> None:
        await db.write(impatient)
        stranger = sqlite3.connect(tmp_path / "db", isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked"):
            await add(db, "lost")
        stranger.execute("ROLLBACK")
        stranger.close()
        await add(db, "kept")

    with_database(tmp_path / "db", body)
    assert ids_on_disk(tmp_path / "db") == {"kept"}


def test_an_operation_cut_off_in_a_statement_fails_its_batch_and_no_other(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000000) SELECT count(*) FROM n"

    async def hasty(connection: AsyncConnection) -> None:
        async with asyncio.timeout(0.01):
            await connection.execute(text(endless))

    async def body(db: Database) -> tuple[BaseException | None, ...]:
        outcomes = await asyncio.gather(add(db, "lost"), db.write(hasty), return_exceptions=True)
        await add(db, "kept")
        return outcomes

    assert all(isinstance(outcome, Exception) for outcome in with_database(tmp_path / "db", body))
    assert ids_on_disk(tmp_path / "db") == {"kept"}


def test_a_caller_who_leaves_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def linger(connection: AsyncConnection) -> None:
            await insert_person(connection, person("left"))
            entered.set()
            await go_on.wait()

        running = asyncio.create_task(db.write(linger))
        await entered.wait()
        queued = asyncio.create_task(add(db, "queued"))
        waiting = asyncio.create_task(add(db, "stayed"))
        await asyncio.sleep(0)
        running.cancel()
        queued.cancel()
        await asyncio.wait([running, queued])
        go_on.set()
        await asyncio.wait_for(waiting, 5)
        await asyncio.wait_for(add(db, "next"), 5)
        assert running.cancelled() and queued.cancelled()
        assert {"stayed", "next"} <= await db.read(ids)

    with_database(tmp_path / "db", body)


def test_readers_cannot_write_and_do_not_see_what_is_not_committed(tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        with pytest.raises(DBAPIError, match="readonly"):
            await db.read(lambda connection: insert_person(connection, person("reader")))

        async def look(connection: AsyncConnection) -> set[str]:
            await insert_person(connection, person("writer"))
            return await db.read(ids)

        assert await db.write(look) == set()
        assert await db.read(ids) == {"writer"}

    with_database(tmp_path / "db", body)


def test_closing_finishes_what_waits_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()

    async def run() -> None:
        db = await Database.open(tmp_path / "db")
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
    assert len(ids_on_disk(tmp_path / "db")) == 300
    assert threading.active_count() == before


def test_a_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "db"
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        killer = threading.Timer(1.0, writer.kill)
        killer.start()
        rest = writer.stdout.readlines()
        killer.join()
    acknowledged = {line.strip() for line in [first, *rest] if line.endswith("\n")}
    assert len(acknowledged) > 8
    assert acknowledged <= ids_on_disk(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
