"""The frozen suites on a served version: a proved drop fails, with the items that fell furthest."""

from __future__ import annotations

import asyncio
import math

import pytest
from msgspec.structs import replace

from learner.config import GateSettings
from learner.engines import Engines
from learner.evaluate.score import LIMITS, score_suite
from learner.evaluate.suite import Suite, load_suites
from learner.evaluate.versions import moved
from learner.gate import SuiteScores, Verdict, compare_suite
from learner.tokens import Tokens
from tests.regression.conftest import Contest

pytestmark = pytest.mark.engine
CONCURRENCY = 32
FEW = 25  # items of each suite where a version is only compared with itself


async def scores(contest: Contest, suite: Suite) -> SuiteScores:
    tokens = Tokens(contest.model_dir)
    async with Engines.of(contest.engine_urls) as engine:
        names = dict.fromkeys([contest.against, contest.adapter])
        found = {name: await score_suite(engine, name, suite, tokens, CONCURRENCY, lambda count: None) for name in names}
    before, after, header = found[contest.against], found[contest.adapter], suite.header
    items, families = tuple(item.id for item in suite.items), tuple(item.family for item in suite.items)
    judged = (header.margin, header.veto, items, before, after, before)
    return SuiteScores(suite.name, suite.sha256, *judged, families=families, limits=LIMITS[header.kind])


@pytest.mark.parametrize("suite", load_suites(), ids=lambda suite: suite.name)
def test_no_proved_drop(suite: Suite, contest: Contest) -> None:
    if contest.adapter == contest.against:
        suite = replace(suite, items=suite.items[:: len(suite.items) // FEW])
    scored = asyncio.run(scores(contest, suite))
    assert all(math.isfinite(score) for score in scored.candidate.values())
    finding = compare_suite(scored, GateSettings())
    print(f"{finding.reason}: {contest.adapter} against {contest.against}")
    fallen = [f"{move.item} {move.before:.3f} to {move.after:.3f}" for move in moved(suite.items, scored.live, scored.candidate)]
    assert finding.verdict is not Verdict.REJECT, f"{finding.reason}; furthest: {', '.join(fallen)}"
