"""A process that writes from many tasks at once, and says what was acknowledged, until it is killed."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from multiprocessing.connection import Connection

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from tests.databases import Place
from tests.faults.said import add_person, add_turn, add_vote, remove_turn

WRITERS = 8


def write_until_killed(place: Place, run: str, acknowledged: Connection) -> None:
    """Sends a line as `said.lost` reads them after each write, never before."""
    asyncio.run(_write(place, run, acknowledged))


async def _write(place: Place, run: str, acknowledged: Connection) -> None:
    db = await Database.open(place)
    await asyncio.gather(*(_talk(db, f"{run}-{number}", acknowledged) for number in range(WRITERS)))


async def _talk(db: Database, person: str, acknowledged: Connection) -> None:
    def say(line: str) -> None:
        acknowledged.send_bytes(line.encode())

    await db.write(partial(add_person, name=person))
    say(f"person {person}")
    for number in count():
        turn = f"{person}-{number}"
        if number % 2:
            await db.write(partial(_add_turn_with_vote, person_id=person, name=turn))
            say(f"turn {turn}")
        else:
            await db.write(partial(add_turn, person_id=person, name=turn))
            say(f"turn {turn}")
            await db.write(partial(add_vote, person_id=person, turn=turn))
        say(f"vote {turn}")
        if number % 4 == 3:
            say(f"removing {turn}")
            await db.write(partial(remove_turn, person_id=person, name=turn))
            say(f"removed {turn}")


async def _add_turn_with_vote(connection: AsyncConnection, person_id: str, name: str) -> None:
    await add_turn(connection, person_id, name)
    await add_vote(connection, person_id, name)
