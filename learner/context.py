"""What every stage of a cycle needs, in one place. The service makes it; stages never reach around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from learner.config import LearnerSettings
from learner.engine import Engine
from learner.evaluate.suite import FROZEN, Suite, load_suites
from learner.tokens import Tokens
from storage.artifacts import Artifacts
from storage.database import Database


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


@dataclass
class Context:
    home: Path
    database: Database
    artifacts: Artifacts
    engine: Engine
    tokens: Tokens
    model_dir: Path
    settings: LearnerSettings
    clock: Callable[[], float]
    went_live: Callable[[str], None]  # told the new live adapter right after the pointer's commit
    in_flight: Callable[[str], int]  # answers being written by an adapter
    progress: Progress = field(default_factory=Progress)
    evaluating: asyncio.Lock = field(default_factory=asyncio.Lock)  # one evaluation at a time

    def suites(self) -> list[Suite]:
        """The frozen suites that judge here, proved unchanged. Raises `SuiteError`."""
        return load_suites(self.suites_dir)

    @property
    def suites_dir(self) -> Path:
        return Path(self.settings.suites) if self.settings.suites else FROZEN

    def folder(self, cycle_id: int) -> Path:
        """The working folder of a cycle; kept, since reports and later cycles read it."""
        folder = self.home / "cycles" / str(cycle_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
