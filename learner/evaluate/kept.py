"""The scores that the database keeps: of which versions, on which suites, and put together for the gate."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import BASE
from learner.context import Context
from learner.evaluate.score import LIMITS
from learner.evaluate.spec import EvaluationResult
from learner.evaluate.suite import Suite
from learner.gate import SuiteScores
from storage import evaluations
from storage.records import SuiteRecord
from storage.suites import ensure_suite

Scores = dict[str, dict[str, dict[str, float]]]  # model → suite → item → score


async def known_scores(context: Context, models: Sequence[str], suites: Sequence[Suite]) -> Scores:
    """What the database has of these models on these very suites."""

    async def select(connection: AsyncConnection) -> Scores:
        found: Scores = {model: {} for model in models}
        for model in found:
            for suite in suites:
                scores = await evaluations.select_scores(connection, model, suite.name, suite.sha256)
                if scores is not None:
                    found[model][suite.name] = scores
        return found

    return await context.database.read(select)


def pair_scores(known: Scores, suites: Sequence[Suite], candidate: str, live: str, base: str = BASE) -> list[SuiteScores]:
    """What there is to compare two versions by, and base, of what is known of all three; what is not stays missing."""
    return [
        SuiteScores(
            name=suite.name,
            sha256=suite.sha256,
            margin=suite.header.margin,
            veto=suite.header.veto,
            items=tuple(item.id for item in suite.items),
            live=known[live].get(suite.name, {}),
            candidate=known[candidate].get(suite.name, {}),
            base=known[base].get(suite.name, {}),
            families=tuple(item.family for item in suite.items),
            advisory=suite.header.advisory,
            limits=LIMITS[suite.header.kind],
        )
        for suite in suites
    ]


async def keep_scores(
    connection: AsyncConnection, suites: Sequence[Suite], cycle_id: int | None, result: EvaluationResult, now_s: float
) -> None:
    """Keeps what a job found, and which suites these were."""
    for suite in suites:
        if result.sha256.get(suite.name) == suite.sha256:
            await ensure_suite(connection, _record(suite, now_s))
    for model, by_suite in result.suites.items():
        for name, scores in by_suite.items():
            await evaluations.insert_evaluation(connection, cycle_id, model, name, result.sha256[name], scores, now_s)


def _record(suite: Suite, now_s: float) -> SuiteRecord:
    header = suite.header
    return SuiteRecord(
        suite.sha256, suite.name, header.version, header.kind, len(suite.items), header.margin, header.veto, created_at_s=now_s
    )
