"""What things cost on this machine: by reports of other benchmarks, which are made where they are missing, and by records."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from service import bench
from service.bench.storage import make_pair
from service.feedback import give
from service.turns import keep_turn
from storage.archive import DATABASE
from storage.artifacts import Artifacts
from storage.backup import back_up
from storage.database import Database
from storage.records import MessageStatus, Person

REPORTS = ("storage", "gateway", "data", "learner", "engine")
TURNS, QUICK_TURNS = 20_000, 500  # whose bytes are counted
Say = Callable[[str], None]
T = TypeVar("T")


class ScaleError(Exception):
    """A report cannot be made or read; the message says which, and why."""


class Costs(Struct, frozen=True):
    """Of one machine with all its cores, where nothing else is said."""

    frame_cpu_ms: float  # of one core, of the service, for one frame of an answer's stream, with its share of the rest
    engine_tokens_per_s: float  # of answers by one adapter, all together
    writes_per_s: float  # turns and votes, each acknowledged
    turn_bytes: float  # in the database, with its indexes: a question and an answer of 80 tokens each
    vote_bytes: float
    curate_rows_per_s: float
    learn_rows_per_s: float
    backup_gb_per_s: float
    quick: bool  # of a moment's measurement: no figures to go by
    machine: str
    commit: str
    seconds: float


class _Storage(Struct):
    acked_per_s: float


class _GatewaySize(Struct):
    frames: int  # of each of those streams


class _Gateway(Struct):
    cpu_ms_per_stream: dict[str, float | None]
    size: _GatewaySize


class _Data(Struct):
    rows_per_s: float


class _Learner(Struct):
    thumbs: dict[str, float]


class _Engine(Struct):
    one: float


def measure_costs(reports: Path, folder: Path, quick: bool, say: Say = lambda line: None) -> Costs:
    """All costs. `reports` has what `ratchet bench NAME --json` printed, as NAME.json; what is missing is measured and put there.

    Databases are made in `folder`. Raises `ScaleError`.
    """
    started_s = time.monotonic()
    reports.mkdir(parents=True, exist_ok=True)
    for name in REPORTS:
        _ensure(reports, name, quick, say)
    say("bytes of turns and votes")
    records = asyncio.run(measure_records(folder, QUICK_TURNS if quick else TURNS))
    gateway = _read(reports, "gateway", _Gateway)
    cpu_ms = gateway.cpu_ms_per_stream["ratchet"]
    if cpu_ms is None:
        raise ScaleError(f"{reports / 'gateway.json'} has no cpu_ms_per_stream for ratchet; expected a number")
    return Costs(
        frame_cpu_ms=cpu_ms / gateway.size.frames,
        engine_tokens_per_s=_read(reports, "engine", _Engine).one,
        writes_per_s=_read(reports, "storage", _Storage).acked_per_s,
        turn_bytes=records.turn_bytes,
        vote_bytes=records.vote_bytes,
        curate_rows_per_s=_read(reports, "data", _Data).rows_per_s,
        learn_rows_per_s=_read(reports, "learner", _Learner).thumbs["mixed"],
        backup_gb_per_s=records.backup_gb_per_s,
        quick=quick,
        machine=bench.machine(),
        commit=bench.commit(),
        seconds=round(time.monotonic() - started_s, 1),
    )


def _ensure(reports: Path, name: str, quick: bool, say: Say) -> None:
    file = reports / f"{name}.json"
    if file.exists():
        return
    say(f"ratchet bench {name}")
    command = [sys.executable, "-m", "service.cli", "bench", name, "--json", *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ScaleError(f"`ratchet bench {name}` failed: {last}")
    file.write_text(done.stdout)


def _read(reports: Path, name: str, kind: type[T]) -> T:
    file = reports / f"{name}.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise ScaleError(f"{file} is not what `ratchet bench {name} --json` prints: {error}") from error


class Records(Struct, frozen=True):
    turn_bytes: float
    vote_bytes: float
    backup_gb_per_s: float


async def measure_records(folder: Path, turns: int) -> Records:
    """What so many turns, and a vote on each, add to a database file, and how fast a backup of it is written."""
    home = folder / "records"
    home.mkdir()
    place = home / DATABASE
    people = [Person(f"person-{number}", "", 0.0) for number in range(100)]
    pairs = [(person, *make_pair(person)) for _, person in zip(range(turns), people * (turns // len(people) + 1), strict=False)]
    empty = await _kept(place, [])
    with_turns = await _kept(place, [partial(keep_turn, turn=turn, status=MessageStatus.COMPLETE) for _, turn, _ in pairs])
    with_votes = await _kept(place, [partial(give, said=vote, person=person, now_s=0.0) for person, _, vote in pairs])
    began = time.perf_counter()
    await asyncio.to_thread(back_up, home, place, Artifacts(home), folder / "records.tar", 0.0)
    took_s = time.perf_counter() - began
    return Records((with_turns - empty) / turns, (with_votes - with_turns) / turns, with_votes / 1e9 / took_s)


async def _kept(place: Path, writes: Sequence[Callable[[Any], Awaitable[object]]]) -> int:
    """Bytes of the database file once all is written and it is closed, which leaves no log beside it."""
    database = await Database.open(place)
    try:
        for start in range(0, len(writes), 100):
            await asyncio.gather(*(database.write(write) for write in writes[start : start + 100]))
    finally:
        await database.close()
    return place.stat().st_size
