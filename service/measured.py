"""`/api/cycles/{id}/measured`: the scores of a cycle's candidate, for the gate's self-test to draw from."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from learner.context import Context
from learner.selftest.measured import NothingMeasured, Pair
from learner.selftest.take import take_pair
from service.problem import Problem


@get("/cycles/{cycle_id:int}/measured")
async def show_measured(cycle_id: FromPath[int], context: NamedDependency[Context], hollow: FromQuery[bool] = False) -> Pair:
    """A candidate and what it was to replace, item by item and vote by vote, without a name or a word of anybody.

    `hollow` marks one that was made to please its voters whatever it costs.
    """
    try:
        return await take_pair(context, cycle_id, hollow)
    except NothingMeasured as error:
        raise Problem("not_found", str(error)) from error


HANDLERS = [show_measured]
