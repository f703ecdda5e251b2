"""Whoever listens hears of every change once, in order, and streams end with the listener and with the service."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.di import Provide
from litestar.response import ServerSentEventMessage
from msgspec.structs import replace

from learner.context import Context, Progress
from learner.gate import Choice, Verdict
from service.chat import Chat
from service.config import ServerSettings
from service.events import Moment, changes, follow, look, stream_events
from service.telemetry.instruments import Instruments
from service.watch import tell
from storage import cycles
from storage.database import Database, UnavailableError
from storage.records import Cycle, CycleState, Stage, StageName
from tests.service.command_line import serve

RUNNING = Cycle(3, "operator", "mixed", CycleState.RUNNING, 1.0)
ENDED = replace(RUNNING, state=CycleState.PROMOTED, ended_at_s=9.0, adapter="r3-00000003", reasons=("better",))
TRAINING = Stage(3, StageName.TRAIN, 2.0)
TRAINED = replace(TRAINING, ended_at_s=5.5, output={})
CHOICE = Choice(Verdict.PROMOTE, ("better",), {}, None, "r3-00000003", {})
JUDGED = Stage(3, StageName.GATE, 6.0, 6.5, msgspec.to_builtins(CHOICE))


def told(before: Moment, now: Moment) -> list[tuple[str, object]]:
    return [(name, msgspec.to_builtins(data)) for name, data in changes(before, now)]


def names(before: Moment, now: Moment) -> list[str]:
    return [name for name, _ in changes(before, now)]


def test_a_cycle_is_told_from_its_beginning_to_its_end() -> None:
    moments = [
        Moment(),
        Moment(RUNNING),
        Moment(RUNNING, (TRAINING,), Progress("train", 1, 9, loss=0.7, rows_per_s=12.0, eta_s=30.0)),
        Moment(RUNNING, (TRAINING,), Progress("train", 2, 9, loss=0.6, rows_per_s=12.0, eta_s=26.0)),
        Moment(RUNNING, (TRAINED,)),
        Moment(ENDED, (TRAINED, JUDGED)),
    ]
    heard = [told(before, now) for before, now in pairwise(moments)]
    assert [[name for name, _ in events] for events in heard] == [
        ["cycle"],
        ["stage", "progress"],
        ["progress"],
        ["stage"],
        ["stage", "verdict", "cycle"],
    ]
    assert heard[1][0][1] == {"cycle_id": 3, "stage": "train", "seconds": None}
    assert heard[2][0][1]["loss"] == 0.6 and heard[2][0][1]["eta_s"] == 26.0  # type: ignore[index]
    assert heard[3][0][1] == {"cycle_id": 3, "stage": "train", "seconds": 3.5}
    assert heard[4][1][1] == {"cycle_id": 3, "verdict": "promote", "reasons": ("better",)}
    assert heard[4][2][1]["state"] == "promoted"  # type: ignore[index]


def test_nothing_new_is_no_event() -> None:
    for moment in (Moment(), Moment(RUNNING, (TRAINING,), Progress("train", 1, 9)), Moment(ENDED, (TRAINED, JUDGED))):
        assert names(moment, moment) == []


def test_who_connects_late_is_told_where_things_are() -> None:
    assert names(Moment(), Moment(RUNNING, (TRAINED,), Progress("evaluate", 1, 2))) == ["cycle", "stage", "progress"]
    assert names(Moment(), Moment(ENDED, (TRAINED,))) == ["stage", "cycle"]
    assert names(Moment(replace(ENDED, id=2)), Moment(RUNNING, (TRAINING,))) == ["cycle", "stage"]


def test_a_quiet_stream_shows_that_it_is_alive() -> None:
    looks = 0

    async def ask() -> Moment:
        nonlocal looks
        looks += 1
        return Moment()

    async def listen() -> list[ServerSentEventMessage]:
        return [message async for message in follow(ask, lambda: looks >= 40, quiet_s=0.02, poll_s=0.01)]

    heard = asyncio.run(listen())
    assert 10 <= len(heard) < 40 and {message.encode() for message in heard} == {b": nothing new\r\n\r\n"}


def test_a_database_that_cannot_be_asked_ends_the_stream() -> None:
    async def ask() -> Moment:
        raise UnavailableError("the disk is full")

    async def listen() -> list[ServerSentEventMessage]:
        return [message async for message in follow(ask, lambda: False)]

    assert asyncio.run(listen()) == []


@contextmanager
def served(home: Path) -> Iterator[tuple[str, Context, Chat]]:
    """A service of this one route: its address, the learner's context and the chat. Cycle 3 runs and is in training."""
    nothing: Any = SimpleNamespace()
    chat = Chat(nothing, nothing, nothing, nothing, nothing, nothing, ServerSettings(), Instruments())
    context = Context(home, *[nothing] * 9)
    context.progress = Progress("train", 1, 9, "", 0.7, 12.0, 30.0)

    async def open() -> None:
        context.database = await Database.open(home / "ratchet.db")
        for _ in range(3):
            await context.database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", 1.0))
        await context.database.write(lambda c: cycles.start_stage(c, 3, StageName.TRAIN, 2.0))

    async def close() -> None:
        await context.database.close()

    provided = {"chat": Provide(lambda: chat, sync_to_thread=False), "context": Provide(lambda: context, sync_to_thread=False)}
    app = Litestar([stream_events], dependencies=provided, on_startup=[open], on_shutdown=[close])
    with serve(app) as service:
        yield f"{service.url}/events", context, chat


def wait_until(met: Callable[[], bool], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.05)


def test_events_come_over_http_and_end_when_the_service_closes(tmp_path: Path) -> None:
    with served(tmp_path) as (url, _, chat), urllib.request.urlopen(url, timeout=30) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [response.readline().decode().strip() for _ in range(9)]
        events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        assert events == ["cycle", "stage", "progress"]
        last = msgspec.json.decode([line for line in lines if line.startswith("data: ")][-1].removeprefix("data: "))
        assert (last["stage"], last["done"], last["loss"], last["eta_s"]) == ("train", 1, 0.7, 30.0)
        began_s = time.monotonic()
        chat.closing = True
        assert response.read() == b""
        assert time.monotonic() - began_s < 3


def test_a_listener_who_leaves_is_looked_for_no_more(tmp_path: Path) -> None:
    class Counted:
        """A database that counts how often it is read."""

        def __init__(self, database: Database) -> None:
            self.database, self.reads = database, 0

        async def read(self, work: Callable[..., object]) -> object:
            self.reads += 1
            return await self.database.read(work)  # type: ignore[arg-type]

        async def close(self) -> None:
            await self.database.close()

    with served(tmp_path) as (url, context, _):
        with urllib.request.urlopen(url, timeout=30) as response:
            response.readline()
            counted = Counted(context.database)
            context.database = counted  # type: ignore[assignment]
            wait_until(lambda: counted.reads > 1)
        time.sleep(1.5)
        reads = counted.reads
        time.sleep(1.5)
        assert counted.reads == reads


def test_a_moment_is_of_the_newest_cycle_and_of_what_runs_here(tmp_path: Path) -> None:
    async def body() -> None:
        database = await Database.open(tmp_path / "ratchet.db")
        context = SimpleNamespace(database=database, progress=Progress())
        try:
            assert await look(context) == Moment()  # type: ignore[arg-type]
            await database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", 1.0))
            assert (await look(context)).progress is None  # type: ignore[arg-type]
            context.progress = Progress("collect")
            seen = await look(context)  # type: ignore[arg-type]
            context.progress.done = 5
            assert seen.progress == Progress("collect")  # as it was then
        finally:
            await database.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("train", 3, 9, "wide", 0.71234, 41.26, 125.4), "wide, loss 0.712, 41.3 rows/s, 2:05 left"),
        (Progress("evaluate", 3, 9, "facts", eta_s=9.0), "facts, 0:09 left"),
        (Progress("gate"), ""),
    ],
)
def test_progress_in_one_line(progress: Progress, line: str) -> None:
    assert tell(msgspec.to_builtins(progress)) == line
