"""What a cycle may spend of the error that all cycles share."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.gate import Choice
from learner.statistics import spend
from storage import cycles
from storage.records import CycleState, StageName


async def spend_on(context: Context, cycle_id: int) -> float:
    """The one-sided error that this cycle's votes may have, after all cycles before it whose votes were judged."""

    async def read(connection: AsyncConnection) -> list[bool]:
        states = await cycles.select_states(connection, before=cycle_id)
        gated = await cycles.select_outputs(connection, StageName.GATE, 0)
        judged = {stage.cycle_id for stage in gated if msgspec.convert(stage.output, Choice).votes is not None}
        return [state is CycleState.PROMOTED for id, state in states.items() if id in judged]

    return spend(await context.database.read(read), context.settings.gate.promote_error)
