"""Scores come back for exactly the suite they were made on, the newest first."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.cycles import insert_cycle
from storage.evaluations import insert_evaluation, select_evaluations, select_scores
from tests.databases import Place
from tests.storage.loop import furnish_adapters, in_transaction


def test_scores_are_those_of_the_newest_evaluation_on_exactly_this_suite(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_cycle(connection, "manual", "kto", 1.0)
        await furnish_adapters(connection, "v1", "v2")
        first = await insert_evaluation(connection, 1, "v1", "bias", "aa", {"x": 0.0, "y": 1.0}, 2.0)
        second = await insert_evaluation(connection, 1, "v1", "bias", "aa", {"x": 1.0, "y": 1.0}, 3.0)
        await insert_evaluation(connection, 1, "v1", "bias", "bb", {"x": 0.25}, 4.0)
        assert (first.mean, second.mean) == (0.5, 1.0)
        assert await select_scores(connection, "v1", "bias", "aa") == {"x": 1.0, "y": 1.0}
        assert await select_scores(connection, "v1", "bias", "cc") is None
        assert await select_scores(connection, "v2", "bias", "aa") is None
        assert (await select_evaluations(connection, 1))[:2] == [first, second]

    in_transaction(place, body)


@pytest.mark.parametrize("value", [-0.0, 0.0, 1, -1.5, 0.1 + 0.2, 5e-324, -3.123456789012345e-7])
def test_a_score_is_the_same_when_it_comes_back_whatever_number_it_is(place: Place, value: float) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_adapters(connection, "v1")
        await insert_evaluation(connection, None, "v1", "bias", "aa", {"x": value, "y": 0.5}, 2.0)
        assert await select_scores(connection, "v1", "bias", "aa") == {"x": value, "y": 0.5}

    in_transaction(place, body)


def test_no_scores_are_no_evaluation(place: Place) -> None:
    with pytest.raises(ValueError, match="'v1' on 'bias'"):
        in_transaction(place, lambda connection: insert_evaluation(connection, 1, "v1", "bias", "a", {}, 1.0))
