"""`ratchet bench data`: how fast examples become what may teach, in how much memory, and whether that depends on history.

The examples are made first, into a file. Then another process reads, cleans and writes them one by one, with helpers of its
own, and at the end leaves out the duplicates by what it remembers of each; what it and its helpers hold is looked at meanwhile.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from learner.config import CurateSettings
from learner.curate.clean import Cleaner, clean
from learner.curate.decontaminate import Overlap
from learner.curate.dedupe import Traces
from learner.curate.example import Drop, Example
from learner.curate.pii import describe, redact
from learner.curate.quality import objection
from learner.evaluate.suite import load_suites
from learner.policy import load_policy
from service import bench
from service.bench.growth import GrowthFigures, measure_growth
from service.bench.talk import talk

MADE, CLEANED, KEPT = "made.jsonl", "cleaned.jsonl", "kept.jsonl"
MAX_NEAR = CurateSettings().max_near_duplicates
SAMPLE_S = 0.05  # between looks at the memory


class Size(Struct, frozen=True):
    """How much is measured."""

    rows: int = 1_000_000
    processes: int = os.cpu_count() or 1
    messages: tuple[int, int] = (10_000, 1_000_000)  # of the small and of the large database that feedback is collected from
    votes: int = 1000  # new ones in each
    rounds: int = 9


QUICK = Size(rows=2000, processes=2, messages=(1000, 4000), votes=100, rounds=1)


class Passed(Struct, frozen=True):
    """What one pass over the file left."""

    rows: int
    kept: int
    dropped: dict[str, int]
    clean_s: float
    dedupe_s: float  # after the last example was clean
    cpu_s: float  # of all its processes


class DataFigures(Struct, frozen=True):
    """`peak_mb` is of the whole pass, all processes together; `cycle_growth` of a cycle's collecting and curating."""

    rows_per_s: float
    peak_mb: float
    cycle_growth: float
    passed: Passed
    growth: GrowthFigures
    size: Size
    machine: str
    commit: str
    seconds: float


def measure_data(folder: Path, size: Size) -> DataFigures:
    """All figures, from files and databases in the folder."""
    began = time.monotonic()
    encode = msgspec.json.Encoder().encode
    with (folder / MADE).open("wb") as file:
        file.writelines(encode(example) + b"\n" for example in talk(size.rows, load_suites()))
    passed, peak_bytes = _watch(folder, size.processes)
    growth = asyncio.run(measure_growth(folder, size.messages, size.votes, size.rounds, shipped_cleaner(), MAX_NEAR))
    return DataFigures(
        rows_per_s=passed.rows / (passed.clean_s + passed.dedupe_s),
        peak_mb=peak_bytes / 1e6,
        cycle_growth=growth.ratio,
        passed=passed,
        growth=growth,
        size=size,
        machine=bench.machine(),
        commit=bench.commit(),
        seconds=time.monotonic() - began,
    )


def _watch(folder: Path, processes: int) -> tuple[Passed, int]:
    """The pass, in a process of its own, and the most bytes that it and all below it held."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        process = psutil.Process(alone.submit(os.getpid).result())
        running, peak_bytes = alone.submit(curate_file, folder, processes), 0
        while wait([running], timeout=SAMPLE_S).not_done:
            with suppress(psutil.NoSuchProcess):  # a helper has ended meanwhile
                peak_bytes = max(peak_bytes, sum(one.memory_info().rss for one in (process, *process.children(recursive=True))))
        return running.result(), peak_bytes


def curate_file(folder: Path, processes: int) -> Passed:
    """Cleans the examples of a file and leaves out the duplicates; only what is remembered of each stays in memory."""
    began = time.perf_counter()
    traces, dropped, rows = Traces(), Counter[str](), 0
    encode = msgspec.json.Encoder().encode
    with (folder / CLEANED).open("wb") as file:
        for rows, outcome in enumerate(clean(_examples(folder / MADE), shipped_cleaner(), processes), 1):  # noqa: B007
            if isinstance(outcome, Drop):
                dropped[outcome.reason] += 1
            else:
                traces.add(outcome)
                file.write(encode(outcome) + b"\n")
    cleaned = time.perf_counter()
    objections = traces.objections(MAX_NEAR)
    with (folder / CLEANED).open("rb") as before, (folder / KEPT).open("wb") as after:
        after.writelines(line for line, reason in zip(before, objections, strict=True) if reason is None)
    dropped.update(reason for reason in objections if reason)
    kept = rows - dropped.total()
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(one.ru_utime + one.ru_stime for one in used)
    return Passed(rows, kept, dict(dropped), clean_s=cleaned - began, dedupe_s=time.perf_counter() - cleaned, cpu_s=cpu_s)


def shipped_cleaner() -> Cleaner:
    """Cleans as a cycle with the settings that are shipped."""
    return Cleaner(Overlap(load_suites()), load_policy().judge, redact, describe, objection)


def _examples(file: Path) -> Iterator[Example]:
    decode = msgspec.json.Decoder(Example).decode
    with file.open("rb") as lines:
        yield from map(decode, lines)
