"""`ratchet bench storage`: how fast turns and votes are acknowledged, and what a page costs when there is much to choose from.

Three arms take turns in one run, on one disk, with the same rows in the same tables, and the median of their rounds counts:
writers as the service has them, all at once, who wait for each acknowledgement; a loop on the bare sqlite3 module that
makes as many commits for as many rows as the writers needed; and that loop with a commit for each turn and each vote.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median, quantiles

import msgspec
from msgspec import Struct

from service import bench
from service.bench.bare import BareLoop
from service.bench.pages import PageFigures, measure_pages
from service.feedback import give
from service.turns import Turn, keep_turn
from service.wire import ChatMessage, FeedbackRequest
from storage.database import Database
from storage.records import MessageStatus, Person

QUESTION = "How does a ratchet turn, and why does it never slip back? Please say it so that a child understands it."
ANSWER = "A ratchet is a wheel with slanted teeth, and a small arm that rests on them. " * 4
TOKEN_IDS = range(1000, 1080)


class Size(Struct, frozen=True):
    """How much is measured."""

    rounds: int = 5
    round_s: float = 2.0
    writers: int = 64
    messages: tuple[int, int] = (10_000, 1_000_000)  # of the small and of the large database whose pages are read
    pages: int = 200  # reads of each


QUICK = Size(rounds=1, round_s=0.2, messages=(500, 2000), pages=5)


class Round(Struct, frozen=True):
    acknowledged: int
    commits: int
    seconds: float
    waits_ms: list[float]  # from the request of a write to its acknowledgement

    @property
    def per_s(self) -> float:
        return self.acknowledged / self.seconds


class StorageFigures(Struct, frozen=True):
    """`ratio` is against the bare loop with as many commits, `ratio_singly` against the one with a commit for each."""

    acked_per_s: float
    bare_sqlite_per_s: float
    ratio: float
    bare_singly_per_s: float
    ratio_singly: float
    acked_per_commit: float
    commit_wait_ms: dict[str, float]
    page_ms: dict[str, float]
    page_ratio: float
    pages: PageFigures
    size: Size
    machine: str
    commit: str
    seconds: float


def measure_storage(folder: Path, size: Size) -> StorageFigures:
    """All figures, from new databases in the folder."""
    began = time.monotonic()
    rounds, same, singly = asyncio.run(_alternate(folder, size))
    pages = asyncio.run(measure_pages(folder, size.messages, size.pages))
    acked, bare, alone = median(one.per_s for one in rounds), median(same), median(singly)
    hundredths = quantiles([wait for one in rounds for wait in one.waits_ms], n=100)
    return StorageFigures(
        acked_per_s=acked,
        bare_sqlite_per_s=bare,
        ratio=acked / bare,
        bare_singly_per_s=alone,
        ratio_singly=acked / alone,
        acked_per_commit=sum(one.acknowledged for one in rounds) / sum(one.commits for one in rounds),
        commit_wait_ms={"p50": hundredths[49], "p99": hundredths[98]},
        page_ms=pages.slowest_ms,
        page_ratio=pages.ratio,
        pages=pages,
        size=size,
        machine=bench.machine(),
        commit=bench.commit(),
        seconds=time.monotonic() - began,
    )


async def _alternate(folder: Path, size: Size) -> tuple[Sequence[Round], Sequence[float], Sequence[float]]:
    db = await Database.open(folder / "written.db")
    bare = BareLoop(folder / "bare.db")
    people = [Person(f"person-{number}", "", 0.0) for number in range(size.writers)]
    await _write(db, people, size.round_s)  # once to warm up: statements are compiled
    rounds: list[Round] = []
    same: list[float] = []
    singly: list[float] = []
    for _ in range(size.rounds):
        written = await _write(db, people, size.round_s)
        rounds.append(written)
        same.append(bare.write(_pairs(people), size.round_s, per_commit=written.acknowledged / written.commits))
        singly.append(bare.write(_pairs(people), size.round_s, per_commit=1))
    bare.close()
    await db.close()
    return rounds, same, singly


async def _write(db: Database, people: Sequence[Person], seconds: float) -> Round:
    """Each person talks and votes, and waits for each acknowledgement, until the time is over."""
    waits_ms: list[float] = []
    commits, began = db.commits, time.perf_counter()

    async def talk(person: Person) -> None:
        while time.perf_counter() - began < seconds:
            turn, vote = make_pair(person)
            asked = time.perf_counter()
            await db.write(partial(keep_turn, turn=turn, status=MessageStatus.COMPLETE))
            kept = time.perf_counter()
            await db.write(partial(give, said=vote, person=person, now_s=0.0))
            waits_ms.extend(((kept - asked) * 1000, (time.perf_counter() - kept) * 1000))

    await asyncio.gather(*map(talk, people))
    return Round(len(waits_ms), db.commits - commits, time.perf_counter() - began, waits_ms)


def _pairs(people: Sequence[Person]) -> Iterator[tuple[Turn, FeedbackRequest]]:
    return (make_pair(people[number % len(people)]) for number in count())


def make_pair(person: Person) -> tuple[Turn, FeedbackRequest]:
    """A turn that begins a conversation, and a thumb for its answer."""
    turn = Turn.begin(person, None, [ChatMessage(role="user", content=QUESTION)], "base", 0.7, {}, 0.0)
    heard = {"engine_model": "base", "content": [ANSWER], "finish_reason": "stop", "first_token_ms": 50.0}
    tokens = {"prompt_token_ids": tuple(TOKEN_IDS), "token_ids": list(TOKEN_IDS)}
    return msgspec.structs.replace(turn, **heard, **tokens), FeedbackRequest(turn.id, thumb="up")
