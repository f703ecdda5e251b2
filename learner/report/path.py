"""The way of a cycle's candidate through its canary, as the database has it."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.assignment import tried
from learner.canary import Judgement
from learner.config import ReleaseSettings
from learner.report.document import CanaryMove, CanaryPath
from storage import canaries
from storage.records import CanaryStep

ENDING = ("promote", "roll_back")


async def read_path(connection: AsyncConnection, cycle_id: int, settings: ReleaseSettings) -> CanaryPath | None:
    """Every move of the canary by now; None where the cycle's candidate was never tried."""
    canary = await canaries.select_canary_of_cycle(connection, cycle_id)
    if canary is None:
        return None
    moves = [_move(step) for step in await canaries.select_steps(connection, canary.id)]
    ended = moves[-1].share if moves and moves[-1].step in ENDING else None
    return CanaryPath(canary, tried(canary, settings).share if ended is None else ended, moves)


def _move(step: CanaryStep) -> CanaryMove:
    known = None if step.judgement is None else msgspec.convert(step.judgement, Judgement)
    return CanaryMove(step.at_s, step.step, step.stage, step.share, step.actor, step.reason, known)
