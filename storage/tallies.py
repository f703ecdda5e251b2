"""How the loop has gone so far, counted: a few rows for each cycle, however many people vote."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import json_text
from storage.records import CycleState, StageName
from storage.tables import cycles, release, stages


class StageTally(Struct, frozen=True):
    """How often a stage was gone through, and what all of that took."""

    times: int
    seconds: float


class Tallies(Struct, frozen=True):
    """`verdicts` are the gate's; a cycle's state may tell of what came after it. `rollbacks` are moves of the live pointer
    to a version that had been live before."""

    cycles: dict[CycleState, int]
    stages: dict[StageName, StageTally]
    verdicts: dict[str, int]
    releases: int
    rollbacks: int
    running_since_s: float | None  # None while no cycle runs
    last_ended_at_s: float | None  # None before the first has ended


async def tally(connection: AsyncConnection) -> Tallies:
    """All of it, as it is now."""
    states = await connection.execute(select(cycles.c.state, func.count()).group_by(cycles.c.state))
    took_s = func.sum(stages.c.ended_at_s - stages.c.started_at_s)
    ended = stages.c.ended_at_s.is_not(None)
    passed = await connection.execute(select(stages.c.name, func.count(), took_s).where(ended).group_by(stages.c.name))
    verdict = json_text(connection, stages.c.output, "verdict")
    given = select(verdict, func.count()).where(ended, stages.c.name == StageName.GATE).group_by(verdict)
    moves, versions = (await connection.execute(select(func.count(), func.count(release.c.adapter.distinct())))).one()
    return Tallies(
        cycles={CycleState(state): count for state, count in states},
        stages={StageName(name): StageTally(count, float(seconds)) for name, count, seconds in passed},
        verdicts={str(said): count for said, count in await connection.execute(given)},
        releases=moves,
        rollbacks=moves - versions,
        running_since_s=await _number(connection, func.max(cycles.c.started_at_s), cycles.c.state == CycleState.RUNNING),
        last_ended_at_s=await _number(connection, func.max(cycles.c.ended_at_s), cycles.c.ended_at_s.is_not(None)),
    )


async def _number(connection: AsyncConnection, what: ColumnElement[float], where: ColumnElement[bool]) -> float | None:
    found: float | None = (await connection.execute(select(what).where(where))).scalar_one()
    return found
