"""What a cycle may spend of the error that all cycles share."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.gate import Choice
from learner.statistics import Tried, spend
from storage import cycles
from storage.records import CycleState, StageName


async def spend_on(context: Context, cycle_id: int) -> float:
    """The one-sided error that this cycle's votes may have, after all cycles before it whose votes were judged."""

    async def read(connection: AsyncConnection) -> list[Tried]:
        states = await cycles.select_states(connection, before=cycle_id)
        gated = await cycles.select_outputs(connection, StageName.GATE, 0)
        p_values = {stage.cycle_id: p_value_of(msgspec.convert(stage.output, Choice)) for stage in gated}
        judged = {id: p_value for id, p_value in p_values.items() if p_value is not None}
        return [Tried(judged[id], state is CycleState.PROMOTED) for id, state in states.items() if id in judged]

    return spend(await context.database.read(read), context.settings.gate.promote_error)


def p_value_of(choice: Choice) -> float | None:
    """How likely votes were to speak so well of any of its candidates by chance (Bonferroni 1936); None without votes."""
    decisions = [choice, *choice.others.values()]
    found = [decision.votes.p_value for decision in decisions if decision.votes is not None]
    return min(1.0, min(found) * len(decisions)) if found else None
