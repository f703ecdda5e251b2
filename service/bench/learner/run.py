"""Starts the arms of `ratchet bench learner`, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar

import msgspec

from learner.jobs import run_job
from service.bench.learner.spec import ARM, RESULT, STEPS, Arm, ArmJob, ArmResult, Trained, Training

T = TypeVar("T")

MODULE = "service.bench.learner.arm"
LONGEST_S = 6 * 3600.0  # of one process


class Arms:
    """Runs trainings on one model, in new folders below one."""

    def __init__(self, folder: Path, model_dir: Path, limit_s: float) -> None:
        self.folder, self.model_dir, self._limit_s = folder, model_dir, limit_s
        self._started = 0

    async def run(
        self, arm: Arm, trainings: Sequence[Training], judged_rows: int = 0, on_step: Callable[[], None] = lambda: None
    ) -> ArmResult:
        """Trains one after another; `on_step` is called after each step of `mixed`. Raises `JobError`."""
        self._started += 1
        folder = self.folder / f"{self._started}-{arm}"
        folder.mkdir()
        job = ArmJob(arm, str(self.model_dir), list(trainings), judged_rows, self._limit_s)
        (folder / ARM).write_bytes(msgspec.json.encode(job))
        await run_job(MODULE, folder, folder / STEPS, lambda line: on_step(), LONGEST_S)
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=ArmResult)


def seconds_per(unit: Literal["rows", "tokens"], trained: Sequence[Trained]) -> float:
    """The median over trainings."""
    return float(median(one.seconds / getattr(one, unit) for one in trained))


def turned(names: Sequence[T], number: int) -> list[T]:
    """In the same order, beginning with another one each time."""
    at = number % len(names)
    return [*names[at:], *names[:at]]
