"""`ratchet gate selftest` as a benchmark: how often the gate is wrong, with where and when that was found out."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from learner.config import GateSettings
from learner.selftest.measured import Measured
from learner.selftest.run import SelfTest, run_selftest
from service import bench


class SelfTestFigures(SelfTest, frozen=True):
    """The rates, and what every benchmark has."""

    machine: str
    commit: str
    seconds: float


def measure_selftest(
    measured: Measured, settings: GateSettings, trials: int, seed: int, tell: Callable[[int, int], None]
) -> SelfTestFigures:
    """All rates; `tell` hears how many kinds of candidates are judged, and of how many."""
    began = time.monotonic()
    found = msgspec.structs.asdict(run_selftest(measured, settings, trials, seed, tell))
    return SelfTestFigures(**found, machine=bench.machine(), commit=bench.commit(), seconds=time.monotonic() - began)
