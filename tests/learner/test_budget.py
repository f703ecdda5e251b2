"""What a cycle may spend of the error that all share goes by the cycles before it whose votes were judged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from learner.context import Context
from learner.evaluate.budget import p_value_of, spend_on
from learner.gate import Choice, Decision, Verdict, VoteComparison
from learner.statistics import Tried, spend
from storage import cycles
from storage.records import CycleState, StageName
from tests.learner.ended import keep
from tests.learner.world import Body

ERROR = 0.05


def choice(*p_values: float | None) -> Choice:
    """Of candidates of which votes spoke with these chances, or not at all."""
    votes = [None if p_value is None else VoteComparison(0.4, 0.6, 0.2, 0.1, p_value) for p_value in p_values]
    others = {f"r1-{number}": Decision(Verdict.INCONCLUSIVE, (), {}, vote) for number, vote in enumerate(votes[1:], 1)}
    return Choice(Verdict.INCONCLUSIVE, (), {}, votes[0], "r1-0", others)


async def judge(context: Context, state: CycleState, *p_values: float | None) -> None:
    cycle = await context.database.write(lambda connection: cycles.insert_cycle(connection, "operator", "mixed", 1.0))
    await keep(context, cycle, {StageName.GATE: choice(*p_values)})
    ended = {"state": state, "ended_at_s": 20.0}
    await context.database.write(lambda connection: cycles.update_cycle(connection, cycle.id, **ended))


def test_cycles_pay_by_what_their_votes_said(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        tried: list[Tried] = []
        for state, p_value in (
            (CycleState.INCONCLUSIVE, None),  # too few votes to judge by
            (CycleState.INCONCLUSIVE, 0.04),
            (CycleState.PROMOTED, 0.001),
            (CycleState.REJECTED, 0.7),
            (CycleState.PROMOTED, 0.002),
        ):
            assert await spend_on(context, 100) == spend(tried, ERROR)
            await judge(context, state, p_value)
            if p_value is not None:
                tried.append(Tried(p_value, state is CycleState.PROMOTED))
        assert await spend_on(context, 100) == spend(tried, ERROR) > spend([], ERROR)
        assert await spend_on(context, 1) == spend([], ERROR)

    run(body)


@pytest.mark.parametrize(("p_values", "expected"), [((None,), None), ((0.02,), 0.02), ((0.2, 0.01, None), 0.03), ((0.9, 0.8), 1.0)])
def test_of_several_candidates_the_likeliest_counts_as_often_as_there_are_some(
    p_values: tuple[float | None, ...], expected: float | None
) -> None:
    assert p_value_of(choice(*p_values)) == (None if expected is None else pytest.approx(expected))
