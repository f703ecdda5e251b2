"""What a process does whose files lie on the disk under test: `python -m tests.faults.on_a_failing_disk MODE ARGUMENTS`.

`sweep TEMPLATE ERROR NUMBERS…` does the same few writes for each number, on a copy of the template, while the disk fails
at the call of that number, and prints a line of JSON about each. `talk PATH DURABILITY` writes a while and ends without a
goodbye, with what was acknowledged in the file `acknowledged` beside the database.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import sys
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database, Operation, UnavailableError
from storage.settings import StorageSettings
from tests.faults.said import add_person, add_turn, add_vote, integrity, lost, remove_turn

LIMIT_S = 30
LARGE = "words " * 4000
TURNS = 120


class Attempt(msgspec.Struct, frozen=True):
    """What came of the writes when the disk failed at its call `number`."""

    number: int
    calls: int  # to the disk while it was to fail
    refused: int  # writes that were answered with UnavailableError, and made again
    outcomes: list[str]  # "kept", or the name of the error, of each write in the end
    lost: list[str]
    integrity: str


async def checkpoint_often(connection: AsyncConnection) -> None:
    await connection.execute(text("PRAGMA wal_autocheckpoint=6"))


def script() -> list[tuple[str, Operation[None]]]:
    """Writes with the line that says what each keeps."""
    return [
        ("person p", partial(add_person, name="p")),
        ("turn a", partial(add_turn, person_id="p", name="a")),
        ("vote a", partial(add_vote, person_id="p", turn="a")),
        ("turn b", partial(add_turn, person_id="p", name="b", words=LARGE)),
        ("removed a", partial(remove_turn, person_id="p", name="a")),
        ("turn c", partial(add_turn, person_id="p", name="c")),
    ]


async def attempt(folder: Path, number: int, error: int) -> Attempt:
    """Writes one by one and then two at once while the disk fails, each again where it was refused."""
    disk, refused = ctypes.CDLL(None), 0

    async def write(operation: Operation[None]) -> str:
        nonlocal refused
        outcome = await outcome_of(db, operation)
        if outcome != UnavailableError.__name__:
            return outcome
        refused += 1
        return await outcome_of(db, operation)

    db = await Database.open(folder / "db")
    await db.write(checkpoint_often)
    disk.failing_disk_arm(ctypes.c_int64(number), error)
    said = [(line, await write(operation)) for line, operation in script()]
    both = await asyncio.gather(*(write(partial(add_person, name=name)) for name in ("q", "r")))
    said += zip(("person q", "person r"), both, strict=True)
    calls = disk.failing_disk_disarm()
    missing = lost(folder / "db", ["removing a", *(line for line, outcome in said if outcome == "kept")])
    await db.close()
    return Attempt(number, calls, refused, [outcome for _, outcome in said], missing, integrity(folder / "db"))


async def outcome_of(db: Database, operation: Operation[None]) -> str:
    try:
        await asyncio.wait_for(db.write(operation), LIMIT_S)
    except Exception as error:
        return type(error).__name__
    return "kept"


def sweep(template: Path, error: int, numbers: list[int]) -> None:
    for number in numbers:
        folder = template.parent / f"attempt-{number}-{error}"
        folder.mkdir()
        shutil.copy(template, folder / "db")
        print(msgspec.json.encode(asyncio.run(attempt(folder, number, error))).decode(), flush=True)
        shutil.rmtree(folder)


async def talk(path: Path, durability: str) -> None:
    """Each acknowledged line is on the disk's log after all that its commit told the disk."""
    db = await Database.open(path, msgspec.convert({"durability": durability}, StorageSettings))
    acknowledged = os.open(path.with_name("acknowledged"), os.O_WRONLY | os.O_CREAT)
    await db.write(partial(add_person, name="p"))
    os.write(acknowledged, b"person p\n")
    for number in range(TURNS):
        await db.write(partial(add_turn, person_id="p", name=f"t{number}", words=LARGE))
        os.write(acknowledged, f"turn t{number}\n".encode())
    print(db.commits, flush=True)
    os._exit(0)


def main(mode: str, path: str, *arguments: str) -> None:
    if mode == "sweep":
        sweep(Path(path), int(arguments[0]), [int(number) for number in arguments[1:]])
    else:
        asyncio.run(talk(Path(path), arguments[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
