"""What a process does whose disk is full: `python -m tests.faults.on_a_full_disk FOLDER` prints a line of JSON about it.

A ballast takes a part of the disk. The process writes until there is no room, looks, takes the ballast away, and goes on.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from itertools import count
from pathlib import Path

import msgspec
from sqlalchemy import func, select

from storage.database import Database, UnavailableError
from storage.tables import people
from tests.faults.said import add_person, add_turn, halves, integrity, lost

BALLAST_BYTES = 1_000_000
REFUSALS = 5  # writes that are tried on the full disk
LARGE = "words " * 4000


class Outcome(msgspec.Struct, frozen=True):
    kept: int  # writes until the disk was full
    refused: int  # of `REFUSALS` more
    warned: bool  # whether `check_available` told of it
    people_read: int  # by a read on the full disk
    later: int  # writes kept once there was room
    lost: list[str]
    halves: list[str]
    integrity: str


async def fill(folder: Path) -> Outcome:
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    db = await Database.open(folder / "db")
    await db.write(partial(add_person, name="p"))
    names = (f"t{number}" for number in count())
    kept: list[str] = []
    while await is_kept(db, name := next(names)):
        kept.append(name)
    before = len(kept)
    tried = {name: await is_kept(db, name) for name in (next(names) for _ in range(REFUSALS))}
    kept += [name for name, is_there in tried.items() if is_there]
    warned = warns(db)
    people_read = await db.read(lambda connection: connection.scalar(select(func.count()).select_from(people)))
    ballast.unlink()
    later = [name for name in (next(names) for _ in range(REFUSALS)) if await is_kept(db, name)]
    await db.close()
    missing = lost(folder / "db", ["person p", *(f"turn {name}" for name in kept + later)])
    refused = list(tried.values()).count(False)
    return Outcome(before, refused, warned, people_read or 0, len(later), missing, halves(folder / "db"), integrity(folder / "db"))


async def is_kept(db: Database, name: str) -> bool:
    try:
        await db.write(partial(add_turn, person_id="p", name=name, words=LARGE))
    except UnavailableError:
        return False
    return True


def warns(db: Database) -> bool:
    try:
        db.check_available()
    except UnavailableError:
        return True
    return False


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(fill(Path(sys.argv[1])))).decode())
