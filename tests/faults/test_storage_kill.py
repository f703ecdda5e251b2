"""SIGKILL at random moments of a process that writes: all it acknowledged is there, and nothing by halves.

The short form runs with the other tests. The full one kills 1,000 times on each database:

    ./deploy/test -m long tests/faults/test_storage_kill.py
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from storage.migrate import migrate
from tests.databases import Place
from tests.faults.said import halves, integrity, lost
from tests.faults.storage_writer import write_until_killed

LIFE_S = 0.4  # at most; every fourth is counted from birth, so that some die while they open the database
BIRTH_S = 60

# Children are forked from a process that has already imported what they need.
CHILDREN = multiprocessing.get_context("forkserver")
DRIVERS = ("psycopg", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.aiosqlite", "alembic.command")
CHILDREN.set_forkserver_preload(["tests.faults.storage_writer", *DRIVERS])


def test_a_kill_loses_nothing_acknowledged(place: Place) -> None:
    assert kill(place, times=25, seed=1) > 200


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_thousand_kills_lose_nothing_acknowledged(place: Place, seed: int) -> None:
    assert kill(place, times=100, seed=seed) > 2000


def kill(place: Place, times: int, seed: int) -> int:
    """Starts and kills a writer so many times on one database, and looks each time; returns how much was acknowledged."""
    chance, total = random.Random(seed), 0
    for number in range(times):
        life_s = chance.uniform(0, LIFE_S)
        acknowledged = list(live_and_die(place, f"run{number}", life_s, from_birth=number % 4 == 0))
        migrate(place)  # the first may have died of it
        assert lost(place, acknowledged) == []
        assert halves(place) == []
        assert integrity(place) == "ok"
        total += len(acknowledged)
    return total


def live_and_die(place: Place, run: str, life_s: float, from_birth: bool) -> Iterator[str]:
    """What a writer acknowledges until it is killed, so long after its birth or after its first word."""
    here, there = CHILDREN.Pipe(duplex=False)
    child = CHILDREN.Process(target=write_until_killed, args=(place, run, there), daemon=True)
    child.start()
    there.close()
    with here:
        from_birth or here.poll(BIRTH_S)
        deadline = time.monotonic() + life_s
        while (left_s := deadline - time.monotonic()) > 0 and here.poll(left_s):
            yield here.recv_bytes().decode()
        child.kill()
        child.join()
        yield from rest(here)
    assert child.exitcode == -9, "it ended before it was killed"
    child.close()


def rest(pipe: Connection) -> Iterator[str]:
    """What still came through before the end; a line that was cut short was never said."""
    while True:
        try:
            yield pipe.recv_bytes().decode()
        except (EOFError, OSError):
            return
