"""What is examined, and what comes of it. Nothing of it needs to be there: what is missing is what a check is for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Literal

from msgspec import Struct

from learner.machine import CPU_INFO
from learner.model import BUILTIN
from service.config import CHECKOUT, Config
from storage.archive import DATABASE

Level = Literal["ok", "warning", "problem"]
GB = 1e9


class Finding(Struct, frozen=True):
    """What one check found; `todo` is empty where all is well."""

    level: Level
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Subject:
    """One home on one machine, and what may stand in for parts of it."""

    home: Path
    config: Config
    config_fault: str  # why the configuration is not the home's own but the default; "" where it is
    models: Path
    address: str  # of the service; "" where none is known
    key: str  # an operator's; "" where none is known
    checkout: Path = CHECKOUT
    web: Path = CHECKOUT / "service" / "web"
    site: tuple[str, ...] = tuple(sys.path)  # where packages are
    python: tuple[int, int] = sys.version_info[:2]
    cpu_info: Path = CPU_INFO
    now: Callable[[], float] = time.time

    @property
    def model_dir(self) -> Path:
        """Where the model is, or will be."""
        if self.config.model.startswith("builtin:"):
            return self.models / BUILTIN.removeprefix("builtin:")
        return Path(self.config.model).expanduser()

    @property
    def place(self) -> Path | str:
        """The database: a file, or a URL."""
        return self.config.storage.url or self.home / DATABASE

    @property
    def packages(self) -> dict[str, Distribution]:
        """What is installed, by its plain name; of one that is there twice, what would be imported."""
        found: dict[str, Distribution] = {}
        for one in distributions(path=list(self.site)):
            found.setdefault(plain(one.metadata["Name"] or ""), one)
        return found


def plain(name: str) -> str:
    """A package's name as indexes compare it."""
    return name.lower().replace("_", "-").replace(".", "-")


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())
