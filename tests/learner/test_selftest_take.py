"""What the self-test draws from is what a cycle's evaluation left, without a name of anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.evaluate.stage import Evaluated, VotedAnswer
from learner.selftest.measured import NothingMeasured
from learner.selftest.take import take_pair
from storage import cycles
from storage.evaluations import insert_evaluation
from storage.records import StageName
from tests.learner.world import Body, make_live
from tests.suites import make_suites

RIGHT = {"base": 0.25, "r1-aaaaaaaa": 0.5, "r2-bbbbbbbb": 0.123456789}
VOTES = [
    VotedAnswer("v1", "person-ann", 1, {}, "r1-aaaaaaaa", {"r2-bbbbbbbb": 0.123456789}),
    VotedAnswer("v2", "person-bob", -1, {}, "r1-aaaaaaaa", {"r2-bbbbbbbb": -0.5}),
    VotedAnswer("v3", "person-ann", -1, {}, "r1-aaaaaaaa", {"r2-bbbbbbbb": 0.25}),
    VotedAnswer("v4", "person-bob", 1, {}, "base"),  # on what another version had answered
]


async def evaluated(
    context: Context, right: Mapping[str, float] = RIGHT, scored: bool = True, votes: Sequence[VotedAnswer] = VOTES
) -> int:
    """A cycle that judged r2 against r1; each version is as right on every item as is given."""
    suites = {suite.name: suite for suite in context.suites()}
    output = Evaluated(
        ["r2-bbbbbbbb"],
        "r1-aaaaaaaa",
        {name: suite.sha256 for name, suite in suites.items()},
        [*votes],
        1.0,
        0.0125,
        ["r2-bbbbbbbb"] if scored else [],
    )

    async def write(connection: AsyncConnection) -> int:
        cycle = await cycles.insert_cycle(connection, "operator", "mixed", 1.0)
        await cycles.start_stage(connection, cycle.id, StageName.EVALUATE, 2.0)
        await cycles.finish_stage(connection, cycle.id, StageName.EVALUATE, 3.0, msgspec.to_builtins(output))
        for version, score in right.items():
            for suite in suites.values():
                scores = {item.id: score for item in suite.items}
                await insert_evaluation(connection, cycle.id, version, suite.name, suite.sha256, scores, 3.0)
        return cycle.id

    return await context.database.write(write)


def test_a_pair_has_every_score_in_one_order_and_nobody_s_name(run: Callable[[Body], None], tmp_path: Path) -> None:
    suites = make_suites(tmp_path / "suites")

    async def check(context: Context) -> None:
        await prepare(context, suites)
        pair = await take_pair(context, await evaluated(context), hollow=True)
        assert [(suite.name, suite.margin, len(suite.families)) for suite in pair.suites] == [("facts", 9.0, 4), ("texts", 9.0, 4)]
        assert pair.suites[0].families == ["f1", "f2", "f3", "f4"]
        for suite in pair.suites:
            assert (suite.live, suite.candidate, suite.base) == ([0.5] * 4, [0.12346] * 4, [0.25] * 4)
        assert [(vote.person, vote.label, vote.gain) for vote in pair.votes] == [(0, 1, 0.12346), (1, -1, -0.5), (0, -1, 0.25)]
        assert pair.hollow and b"person-" not in msgspec.json.encode(pair)

    run(check)


def test_what_was_not_scored_or_has_changed_since_is_no_pair(run: Callable[[Body], None], tmp_path: Path) -> None:
    suites = make_suites(tmp_path / "suites")

    async def check(context: Context) -> None:
        await prepare(context, suites)
        with pytest.raises(NothingMeasured, match="its votes refused them all"):
            await take_pair(context, await evaluated(context, scored=False))
        with pytest.raises(NothingMeasured, match="has no vote on an answer of the version that was live"):
            await take_pair(context, await evaluated(context, votes=VOTES[-1:]))
        with pytest.raises(NothingMeasured, match="cycle 99 has evaluated nothing"):
            await take_pair(context, 99)
        cycle_id = await evaluated(context)
        items = suites / "facts" / "items.jsonl"
        items.write_bytes(items.read_bytes().replace(b"plus", b"and"))
        with pytest.raises(NothingMeasured, match="it could not be evaluated"):
            await take_pair(context, cycle_id)

    run(check)


async def prepare(context: Context, suites: Path) -> None:
    """Versions to compare, by these suites."""
    context.settings = replace(context.settings, suites=str(suites))
    await make_live(context, "r1-aaaaaaaa", "base", None)
    await make_live(context, "r2-bbbbbbbb", "r1-aaaaaaaa", None)
