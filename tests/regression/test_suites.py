"""The frozen suites on a served version: a significant drop fails, with the items that fell furthest."""

from __future__ import annotations

import asyncio
import math

import pytest

from learner.config import GateSettings
from learner.engine import Engine
from learner.evaluate.score import score_suite
from learner.evaluate.suite import Suite, load_suites
from learner.gate import compare
from learner.tokens import Tokens
from tests.regression.conftest import Contest

pytestmark = pytest.mark.engine
CONCURRENCY = 32


async def scores(contest: Contest, suite: Suite) -> list[dict[str, float]]:
    tokens = Tokens(contest.model_dir)
    async with Engine(contest.engine_url) as engine:
        names = dict.fromkeys([contest.against, contest.adapter])
        found = {name: await score_suite(engine, name, suite, tokens, CONCURRENCY, lambda count: None) for name in names}
    return [found[contest.against], found[contest.adapter]]


@pytest.mark.parametrize("suite", load_suites(), ids=lambda suite: suite.name)
def test_no_significant_drop(suite: Suite, contest: Contest) -> None:
    against, adapter = asyncio.run(scores(contest, suite))
    assert set(adapter) == {item.id for item in suite.items}
    assert all(math.isfinite(score) for score in adapter.values())
    found = compare([item.id for item in suite.items], against, adapter, GateSettings().suite_alpha)
    print(f"{suite.name}: {contest.adapter} {found.candidate:.4f}, {contest.against} {found.live:.4f}, {found.delta:+.4f}")
    fallen = sorted(adapter, key=lambda id: adapter[id] - against[id])[:5]
    upper_bound = 2 * found.delta - found.lower_bound
    assert upper_bound >= 0, f"{suite.name} fell by {-found.delta:.4f} for sure; furthest: {', '.join(fallen)}"
