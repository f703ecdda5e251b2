"""Whether a process grows: its memory and its open files, looked at again and again, and the slope of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import psutil
from msgspec import Struct

SETTLING = 0.1  # of the time, from the start: what is still being filled then is no growth


class Growth(Struct, frozen=True):
    """`began` and `ended` are what the fitted line says once settled and at the end; up to `tolerance` more is none."""

    began: float
    ended: float
    tolerance: float

    @property
    def is_none(self) -> bool:
        return self.ended - self.began <= self.tolerance


class Look(Struct, frozen=True):
    at_s: float
    memory_mb: float  # resident
    open_files: int  # sockets and pipes among them


@asynccontextmanager
async def watching(pid: int, every_s: float) -> AsyncIterator[list[Look]]:
    """Inside, a process is looked at every so often, for as long as there is one: the looks so far."""
    looks: list[Look] = []
    watch = asyncio.create_task(_watch(psutil.Process(pid), every_s, looks))
    try:
        yield looks
    finally:
        watch.cancel()
        await asyncio.wait([watch])


async def _watch(process: psutil.Process, every_s: float, looks: list[Look]) -> None:
    with suppress(psutil.NoSuchProcess):
        while True:
            looks.append(Look(time.monotonic(), process.memory_info().rss / 1e6, process.num_fds()))
            await asyncio.sleep(every_s)


def fit_growth(at_s: Sequence[float], values: Sequence[float], share: float, least: float) -> Growth:
    """The growth after the first tenth of the time, tolerated up to a share of the level, and to `least` in any case.

    The line is that of Theil and Sen, the median of the slopes of all pairs (Sen 1968, doi:10.1080/01621459.1968.10480934):
    a few looks at a bad moment do not tilt it. Needs two looks or more after the first tenth; ValueError otherwise.
    """
    from scipy.stats import theilslopes

    settled_s = at_s[0] + SETTLING * (at_s[-1] - at_s[0])
    kept = [(at, value) for at, value in zip(at_s, values, strict=True) if at >= settled_s]
    if len(kept) < 2:
        raise ValueError(f"{len(kept)} looks after the first tenth of the time, expected 2 or more")
    times, settled = zip(*kept, strict=True)
    line = theilslopes(settled, times)
    began, ended = (float(line.intercept + line.slope * at) for at in (times[0], times[-1]))
    return Growth(began, ended, max(share * began, least))
