"""What `ratchet bench loop` finds out, and how it is kept until the last population has been tried."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from learner.gate import Verdict
from learner.simulated.populations import Population
from learner.simulated.rounds import Outcome, Round, Size
from learner.transfer import Transfer
from service import bench

T = TypeVar("T", bound=Struct)

REPORT = "report.json"


class LoopError(Exception):
    """The benchmark cannot go on; the message says why."""


class PopulationFigures(Struct, frozen=True):
    """What one population made of a service of its own. `before` is satisfaction by taste before the first round.

    A cycle that was refused and one that could not tell left what was live live; `failed` counts those that came to no verdict.
    """

    about: str
    size: Size
    before: dict[str, float]
    rounds: list[Round]
    promoted: int
    refused: int
    inconclusive: int
    failed: int
    transfer: Transfer
    machine: str
    commit: str
    seconds: float

    @property
    def after(self) -> dict[str, float]:
        """Satisfaction by taste after the last round."""
        return self.rounds[-1].satisfaction if self.rounds else self.before


class LoopFigures(Struct, frozen=True):
    """`machine` and `commit` name each that a population was tried on, once; `seconds` are those of all populations together."""

    populations: dict[str, PopulationFigures]
    machine: str
    commit: str
    seconds: float


def summarize(population: Population, size: Size, outcome: Outcome, commit: str, seconds: float) -> PopulationFigures:
    """The figures of a population whose rounds are over, of the commit that was checked out when they began."""
    verdicts = [one.verdict for one in outcome.rounds]
    counts = {verdict: verdicts.count(verdict) for verdict in Verdict}
    return PopulationFigures(
        about=population.about,
        size=size,
        before=outcome.before,
        rounds=outcome.rounds,
        promoted=counts[Verdict.PROMOTE],
        refused=counts[Verdict.REJECT],
        inconclusive=counts[Verdict.INCONCLUSIVE],
        failed=len(verdicts) - sum(counts.values()),
        transfer=outcome.transfer,
        machine=bench.machine(),
        commit=commit,
        seconds=seconds,
    )


def join(populations: dict[str, PopulationFigures]) -> LoopFigures:
    """One report of all populations."""
    found = populations.values()
    return LoopFigures(
        populations,
        machine=_each_once(one.machine for one in found),
        commit=_each_once(one.commit for one in found),
        seconds=sum(one.seconds for one in found),
    )


def keep(folder: Path, name: str, figures: PopulationFigures | LoopFigures) -> None:
    """Writes a file of the folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{name}.unfinished"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    unfinished.replace(folder / name)


def read_kept(folder: Path, name: str, size: Size) -> PopulationFigures | None:
    """What an earlier run found out about a population; None where it did not come to its end.

    Raises `LoopError` for what is no such file, and for figures of another size.
    """
    file = folder / f"{name}.json"
    if not file.is_file():
        return None
    found = _read(file, PopulationFigures)
    if found.size != size:
        raise LoopError(f"{file} has {found.size}, expected {size}: give the options of that run, or another --out")
    return found


def read_report(file: Path) -> LoopFigures:
    """A whole report, as it was printed or kept. Raises `LoopError` for a file that is none."""
    return _read(file, LoopFigures)


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        raise LoopError(f"{file} cannot be read ({error.strerror}): expected figures of `ratchet bench loop`") from error
    except msgspec.DecodeError as error:
        raise LoopError(f"{file} holds no figures of `ratchet bench loop`: {error}") from error


def _each_once(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
