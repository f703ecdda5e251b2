"""A person made of code, from a file or a module, and the prompts of theirs that nobody votes on."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any


class SimulationError(Exception):
    """The simulation cannot go on; the message says why."""


@dataclass(frozen=True)
class User:
    """What somebody asks, whether an answer pleases, and perhaps what they would rather have read."""

    name: str
    prompts: Callable[[], Iterable[str]]
    judge: Callable[[str, str], bool | None]
    correct: Callable[[str, str], str | None] = lambda prompt, answer: None

    @classmethod
    def of(cls, module: ModuleType) -> User:
        """The person that a module is: `NAME`, `prompts`, `judge`, and perhaps `correct`."""
        return cls._of(vars(module))

    @classmethod
    def load(cls, file: Path) -> User:
        """The person that a file is. Raises `SimulationError` for a file that is none."""
        if not file.is_file():
            raise SimulationError(f"there is no user file {str(file)!r}")
        names = runpy.run_path(str(file))
        if missing := {"NAME", "prompts", "judge"} - set(names):
            raise SimulationError(f"{file} lacks {', '.join(sorted(missing))}")
        return cls._of(names)

    @classmethod
    def _of(cls, names: Mapping[str, Any]) -> User:
        optional = {"correct": names["correct"]} if "correct" in names else {}
        return cls(names["NAME"], names["prompts"], names["judge"], **optional)


def split_prompts(prompts: Iterable[str], heldout: int) -> tuple[list[str], list[str]]:
    """(to ask and vote on, held out): always the same, as a hash decides."""
    ordered = sorted(dict.fromkeys(prompts), key=lambda prompt: hashlib.sha256(prompt.encode()).digest())
    if len(ordered) <= heldout:
        raise SimulationError(f"the user has {len(ordered)} different prompts, expected more than the {heldout} held out")
    return ordered[heldout:], ordered[:heldout]
