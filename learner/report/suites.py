"""What became of each frozen suite, with the items that turned or moved furthest, from the scores that the database keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.evaluate import versions
from learner.evaluate.stage import Evaluated
from learner.evaluate.suite import Suite, SuiteError
from learner.evaluate.versions import Move
from learner.gate import Choice, SuiteComparison
from learner.report.document import SuiteChange
from storage.evaluations import select_scores
from storage.records import SuiteRecord
from storage.suites import select_suites

Frozen = Mapping[str, Suite]  # by hash


async def load_frozen(context: Context) -> Frozen:
    """The suites as they are today; none where they cannot be read, which the report need not fail for."""
    try:
        return {suite.sha256: suite for suite in await asyncio.to_thread(context.suites)}
    except SuiteError:
        return {}


async def read_suites(connection: AsyncConnection, choice: Choice, evaluated: Evaluated, frozen: Frozen) -> list[SuiteChange]:
    """What the gate compared. Of a suite that is not what it was any more, the items are not told."""
    known = {suite.sha256: suite for suite in await select_suites(connection)}
    changes = []
    for name, compared in choice.suites.items():
        sha256 = evaluated.sha256.get(name, "")
        if sha256 in known:
            pair = evaluated.live, choice.adapter
            moves = await _read_moves(connection, frozen[sha256], *pair) if sha256 in frozen else ()
            changes.append(_change(known[sha256], compared, moves))
    return changes


def _change(suite: SuiteRecord, compared: SuiteComparison, moves: tuple[Move, ...]) -> SuiteChange:
    return SuiteChange(
        name=suite.name,
        sha256=suite.sha256,
        margin=suite.margin,
        veto=suite.veto,
        live=compared.live,
        candidate=compared.candidate,
        delta=compared.delta,
        lower_bound=compared.lower_bound,
        advisory=compared.advisory,
        won=compared.won,
        lost=compared.lost,
        moves=moves,
    )


async def _read_moves(connection: AsyncConnection, suite: Suite, live: str, candidate: str) -> tuple[Move, ...]:
    before, after = [await select_scores(connection, name, suite.name, suite.sha256) for name in (live, candidate)]
    return versions.moved(suite.items, before or {}, after or {})
