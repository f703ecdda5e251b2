"""What the newest 50 conversations of a person cost, in a small database and in a large one."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from msgspec import Struct

from service.bench.bare import insert_all
from storage import tables
from storage.conversations import select_conversations
from storage.database import Database
from storage.migrate import migrate
from storage.records import Conversation, Message, MessageStatus, Person, Role

PAGE = 50  # conversations
LENGTH = 10  # messages of a conversation
EACH = 100  # conversations of one person among many
OWNER, ONE_OF_MANY = "owner", "person-0"
NAMES = ("10k", "1m")


class PageFigures(Struct, frozen=True):
    """Median milliseconds of a page by size: of who owns half of everything, and of one among those who share the rest."""

    owner_ms: dict[str, float]
    one_of_many_ms: dict[str, float]
    fill_s: float

    @property
    def slowest_ms(self) -> dict[str, float]:
        return {name: max(self.owner_ms[name], self.one_of_many_ms[name]) for name in NAMES}

    @property
    def ratio(self) -> float:
        """How much more the same page costs in the large one, for whom it costs more."""
        small, large = NAMES
        return max(figure[large] / figure[small] for figure in (self.owner_ms, self.one_of_many_ms))


async def measure_pages(folder: Path, sizes: tuple[int, int], reads: int) -> PageFigures:
    """Fills both databases with so many messages, and reads their pages in turn."""
    began = time.monotonic()
    places = [folder / f"{name}.db" for name in NAMES]
    for place, messages in zip(places, sizes, strict=True):
        fill(place, messages)
    fill_s = time.monotonic() - began
    databases = [await Database.open(place) for place in places]
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(-3, reads):  # three to warm up
        for name, db in zip(NAMES, databases, strict=True):
            for person in (OWNER, ONE_OF_MANY):
                took_ms = await read_page(db, person)
                if number >= 0:
                    found[person, name].append(took_ms)
    for db in databases:
        await db.close()
    owner, one = ({name: median(found[person, name]) for name in NAMES} for person in (OWNER, ONE_OF_MANY))
    return PageFigures(owner, one, fill_s)


async def read_page(db: Database, person: str) -> float:
    """Milliseconds of one page."""
    began = time.perf_counter()
    page = await db.read(lambda connection: select_conversations(connection, person, PAGE))
    took_ms = (time.perf_counter() - began) * 1000
    assert page, f"{person!r} has nothing to read"
    return took_ms


def fill(path: Path, messages: int) -> None:
    """A new database with so many messages, written in bulk and not durably."""
    migrate(path)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    talks = range(messages // LENGTH)
    insert_all(connection, tables.people, (Person(name, "", 0.0) for name in {_owner(number): None for number in talks}))
    insert_all(connection, tables.conversations, (_conversation(number) for number in talks))
    insert_all(connection, tables.messages, (message for number in talks for message in _messages(number)))
    connection.execute("COMMIT")
    connection.close()


def _owner(number: int) -> str:
    return OWNER if number % 2 else f"person-{number // 2 // EACH}"


def _conversation(number: int) -> Conversation:
    return Conversation(f"conv-{number}", _owner(number), float(number), f"Talk {number} about ratchets", float(number))


def _messages(number: int) -> Iterator[Message]:
    """Questions and answers in turn."""
    above = None
    for place in range(LENGTH):
        id, role = f"msg-{number}-{place}", (Role.USER, Role.ASSISTANT)[place % 2]
        text = f"What is said in talk {number} as number {place}, in about as many words as people use."
        yield Message(id, f"conv-{number}", _owner(number), above, role, text, MessageStatus.COMPLETE, float(number))
        above = id
