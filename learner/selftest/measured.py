"""What the self-test draws from: scores of real versions on every item and every held-out vote, as cycles left them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import BASE
from learner.context import Context
from learner.evaluate.kept import known_scores
from learner.evaluate.stage import Evaluated
from learner.evaluate.suite import Suite
from storage import cycles
from storage.records import StageName

DIGITS = 5
NEWEST = 1000  # cycles that are looked at


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
    """A held-out vote, and the mean log-prob per token of its answer under two versions."""

    person: int
    label: int
    live: float
    candidate: float


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


async def measure_home(context: Context, hollow: Sequence[str]) -> Measured:
    """Every candidate that cycles of this home have scored on all of today's suites, beside the version it was judged against.

    `hollow` names those that were made to be.
    """

    async def select(connection: AsyncConnection) -> list[Evaluated]:
        ended = [await cycles.select_stages(connection, cycle.id) for cycle in await cycles.select_cycles(connection, NEWEST)]
        return [
            msgspec.convert(stage.output, Evaluated)
            for stages in ended
            for stage in stages
            if stage.name is StageName.EVALUATE and stage.output
        ]

    suites = [suite for suite in context.suites() if not suite.header.advisory]
    pairs = []
    for evaluated in await context.database.read(select):
        for name in evaluated.scored:
            measured = await _measure_suites(context, suites, evaluated.live, name)
            if measured is not None:
                pairs.append(Pair(measured, _votes(evaluated, name), name in hollow))
    if not pairs:
        raise NothingMeasured("no cycle of this home has scored a candidate on the suites as they are now")
    return Measured(pairs)


async def _measure_suites(context: Context, suites: Sequence[Suite], live: str, candidate: str) -> list[MeasuredSuite] | None:
    known = await known_scores(context, [live, candidate, BASE], suites)
    if any(suite.name not in scores for scores in known.values() for suite in suites):
        return None

    def rounded(version: str, suite: Suite) -> list[float]:
        return [round(known[version][suite.name][item.id], DIGITS) for item in suite.items]

    return [
        MeasuredSuite(
            suite.name,
            suite.header.margin,
            suite.header.veto,
            [item.family for item in suite.items],
            rounded(live, suite),
            rounded(candidate, suite),
            rounded(BASE, suite),
        )
        for suite in suites
    ]


def _votes(evaluated: Evaluated, candidate: str) -> list[MeasuredVote]:
    votes = evaluated.votes_on(candidate)
    numbers = {person: number for number, person in enumerate(sorted({vote.person_id for vote in votes}))}
    return [
        MeasuredVote(numbers[vote.person_id], vote.label, round(vote.live, DIGITS), round(vote.candidate, DIGITS)) for vote in votes
    ]
