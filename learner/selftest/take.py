"""What the self-test draws from, taken from the cycles of a home: scores and votes, with nobody's name or words."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from learner.context import Context
from learner.evaluate.stage import Evaluated, cases
from learner.gate import Case, SuiteScores
from learner.selftest.measured import MeasuredSuite, MeasuredVote, NothingMeasured, Pair
from storage.cycles import select_stages
from storage.records import StageName

DECIMALS = 5


async def take_pair(context: Context, cycle_id: int, hollow: bool = False) -> Pair:
    """The first candidate of a cycle whose suites were scored, and what it was to replace.

    `hollow` says that it was made to please its voters whatever it costs. Raises `NothingMeasured` where there is none, or
    where a suite has changed since.
    """
    stages = await context.database.read(lambda connection: select_stages(connection, cycle_id))
    output = next((stage.output for stage in stages if stage.name is StageName.EVALUATE), None)
    if output is None:
        raise NothingMeasured(f"cycle {cycle_id} has evaluated nothing")
    for name, case in (await cases(context, msgspec.convert(output, Evaluated))).items():
        if case.failure:
            raise NothingMeasured(f"{name}, of cycle {cycle_id}: {case.failure}")
        if case.suites and not case.votes:
            raise NothingMeasured(f"cycle {cycle_id} has no vote on an answer of the version that was live, expected some")
        if case.suites:
            return Pair([_suite(suite) for suite in case.suites if not suite.advisory], _votes(case), hollow)
    raise NothingMeasured(f"cycle {cycle_id} scored the suites of no candidate: its votes refused them all")


def _suite(suite: SuiteScores) -> MeasuredSuite:
    missing = [item for item in suite.items if not (item in suite.live and item in suite.candidate and item in suite.base)]
    if missing:
        raise NothingMeasured(f"{suite.name} has no score for {len(missing)} of {len(suite.items)} items, such as {missing[0]!r}")
    families = list(suite.families or suite.items)
    scores = (_in_order(suite, model) for model in (suite.live, suite.candidate, suite.base))
    return MeasuredSuite(suite.name, suite.margin, suite.veto, families, *scores)


def _in_order(suite: SuiteScores, model: Mapping[str, float]) -> list[float]:
    return [round(model[item], DECIMALS) for item in suite.items]


def _votes(case: Case) -> list[MeasuredVote]:
    numbers = {person: number for number, person in enumerate(dict.fromkeys(vote.person_id for vote in case.votes))}
    return [MeasuredVote(numbers[vote.person_id], vote.label, round(vote.gain, DECIMALS)) for vote in case.votes]
