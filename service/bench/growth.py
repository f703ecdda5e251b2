"""What collecting and curating the same new feedback costs beside few and beside many stored messages."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from statistics import median

from msgspec import Struct

from learner.curate.clean import Cleaner, clean
from learner.curate.dedupe import sift
from learner.curate.example import Example
from learner.curate.served import example_of
from service.bench.bare import insert_all
from service.bench.pages import NAMES, fill
from storage import tables
from storage.database import Database
from storage.feedback import select_evidence
from storage.records import Feedback, FeedbackKind

VOTED = 10  # of so many messages one was voted on long ago
NEWEST = 20_000  # messages, among which all are that the new votes are about
SAME_WORDS = """
    UPDATE messages SET content = 'What is said ' || (newest - position) || ' from the end, in about as many words as people use.'
    FROM (SELECT max(position) AS newest FROM messages) WHERE position > newest - ?
"""  # the new data must be the same, whatever is below it
ANSWERS = "SELECT id, person_id FROM messages WHERE role = 'assistant'"


class GrowthFigures(Struct, frozen=True):
    """Median milliseconds by size of the database."""

    cycle_ms: dict[str, float]  # both
    collect_ms: dict[str, float]
    curate_ms: dict[str, float]

    @property
    def ratio(self) -> float:
        small, large = NAMES
        return self.cycle_ms[large] / self.cycle_ms[small]


async def measure_growth(
    folder: Path, sizes: tuple[int, int], votes: int, rounds: int, cleaner: Cleaner, max_per_cluster: int
) -> GrowthFigures:
    """Fills a database with so many messages each, and takes in the newest votes of both in turn."""
    places = [folder / f"grown-{name}.db" for name in NAMES]
    watermarks = [_fill(place, messages, votes) for place, messages in zip(places, sizes, strict=True)]
    databases = [await Database.open(place) for place in places]
    took_ms: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for number in range(-1, rounds):  # one to warm up
        for name, db, watermark in zip(NAMES, databases, watermarks, strict=True):
            times = await _take_in(db, watermark, votes, cleaner, max_per_cluster)
            if number >= 0:
                took_ms[name].append(times)
    for db in databases:
        await db.close()
    return GrowthFigures(
        cycle_ms={name: median(map(sum, times)) for name, times in took_ms.items()},
        collect_ms={name: median(collect for collect, _ in times) for name, times in took_ms.items()},
        curate_ms={name: median(curate for _, curate in times) for name, times in took_ms.items()},
    )


def _fill(place: Path, messages: int, votes: int) -> int:
    """The watermark after which so many votes on the newest answers follow the votes of long ago."""
    fill(place, messages)
    connection = sqlite3.connect(place)
    connection.execute(SAME_WORDS, (NEWEST,))
    old = connection.execute(f"{ANSWERS} AND position % {VOTED} = 0").fetchall()
    new = connection.execute(f"{ANSWERS} ORDER BY position DESC LIMIT {votes}").fetchall()
    insert_all(connection, tables.feedback, (_vote(f"old-{n}", id, person, n) for n, (id, person) in enumerate(old)))
    insert_all(connection, tables.feedback, (_vote(f"new-{n}", id, person, n) for n, (id, person) in enumerate(new)))
    connection.commit()
    connection.close()
    return len(old)


def _vote(id: str, message_id: str, person_id: str, number: int) -> Feedback:
    return Feedback(id, message_id, person_id, FeedbackKind.THUMB, "up" if number % 3 else "down", float(number), id)


async def _take_in(db: Database, watermark: int, votes: int, cleaner: Cleaner, max_per_cluster: int) -> tuple[float, float]:
    """Milliseconds of collecting and of curating."""
    began = time.perf_counter()
    evidence = await db.read(lambda connection: select_evidence(connection, watermark, votes))
    collected = time.perf_counter()
    cleaned = clean(map(example_of, evidence), cleaner, processes=1)
    sift([made for made in cleaned if isinstance(made, Example)], max_per_cluster)
    assert len(evidence) == votes, f"{len(evidence)} answers have votes, expected {votes}"
    return (collected - began) * 1000, (time.perf_counter() - collected) * 1000
