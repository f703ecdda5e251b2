"""What the self-test draws from: scores of real versions on every item and every held-out vote, as cycles left them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct


class MeasuredSuite(Struct, frozen=True):
    """Scores of one suite's items by three versions, in one order."""

    name: str
    margin: float
    veto: bool
    families: list[str]
    live: list[float]
    candidate: list[float]
    base: list[float]


class MeasuredVote(Struct, frozen=True):
    """A held-out vote, and what it says of the change in the share of thumbs up."""

    person: int
    label: int
    gain: float


class Pair(Struct, frozen=True):
    """A candidate and what it was to replace. `hollow` where it was made to please its voters whatever it costs."""

    suites: list[MeasuredSuite]
    votes: list[MeasuredVote]
    hollow: bool = False


class Measured(Struct, frozen=True):
    pairs: list[Pair]


class NothingMeasured(Exception):
    """There are no scores to draw from; the message says where and what is missing."""


def load_measured(file: Path | None = None) -> Measured:
    """The file's, or what is shipped. Raises `NothingMeasured`."""
    found = file or files("learner.selftest") / "measured.json"
    try:
        measured = msgspec.json.decode(found.read_bytes(), type=Measured)
    except (OSError, msgspec.DecodeError) as error:
        raise NothingMeasured(f"{found} cannot be read: {error}") from error
    if not any(not pair.hollow for pair in measured.pairs):
        raise NothingMeasured(f"{found} has no pair that is not hollow, expected one or more")
    return measured
