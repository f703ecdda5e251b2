"""What every stage of a cycle needs, in one place. The service makes it; stages never reach around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from learner.assignment import Standing
from learner.config import LearnerSettings
from learner.engines import Engines
from learner.evaluate.judged import read_calibration, weigh_judged
from learner.evaluate.suite import Suite, load_suites, suite_folders
from learner.tokens import Tokens
from storage import datasets
from storage.artifacts import Artifacts
from storage.database import Database

CYCLES = "cycles"  # below the home: a working folder for each cycle


class StageError(Exception):
    """A stage cannot go on; the cycle fails with this message and nothing goes live."""


class NothingToLearn(Exception):
    """There is too little new feedback for a cycle; the message says what is there and what is missing."""


class Progress(Struct):
    """Where the running cycle is, for people who watch. `done` of `total` is in the stage's own unit."""

    stage: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""
    loss: float | None = None  # of the newest step, while a candidate is trained
    rows_per_s: float | None = None
    eta_s: float | None = None  # until the stage is done, at the speed it had so far


@dataclass
class Context:
    home: Path
    database: Database
    artifacts: Artifacts
    engine: Engines
    tokens: Tokens
    model_dir: Path
    settings: LearnerSettings
    clock: Callable[[], float]
    announce: Callable[[Standing], None]  # told who answers, right after the commit
    in_flight: Callable[[str], int]  # answers being written by an adapter
    timed: Callable[[str, float], object] = lambda step, seconds: None  # told what a load or a flip of a version took
    progress: Progress = field(default_factory=Progress)
    evaluating: asyncio.Lock = field(default_factory=asyncio.Lock)  # one evaluation at a time
    forgetting: asyncio.Lock = field(default_factory=asyncio.Lock)  # one person at a time: files are written anew for each

    def suites(self) -> list[Suite]:
        """The frozen suites that judge here, the operator's own among them, proved unchanged; judged ones only where a judge is
        set, and as advice until it is calibrated. Raises `SuiteError`."""
        return weigh_judged(load_suites(*self.suites_dirs), self.settings.judge, read_calibration(self.home))

    @property
    def suites_dirs(self) -> list[Path]:
        return suite_folders(self.home, self.settings.suites)

    def folder(self, cycle_id: int) -> Path:
        """The working folder of a cycle. Only what `learner.workfiles` keeps outlives the cycle."""
        folder = self.home / CYCLES / str(cycle_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def dataset_file(self, id: str) -> Path:
        """The file of a dataset, proved to be what was published. Raises `ArtifactError`, `StageError` for no dataset."""
        dataset = await self.database.read(lambda connection: datasets.select_dataset(connection, id))
        if dataset is None or not dataset.path:
            raise StageError(f"the file of dataset {id!r} is gone")
        return await asyncio.to_thread(self.artifacts.fetch, self.home / dataset.path, dataset.file_sha256)
