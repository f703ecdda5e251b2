"""What happened that other programs want to hear of, found again in what is kept: nobody has to note it as it happens."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Canary, CanaryState, Cycle, CycleState, Release, Stage, StageName
from storage.rows import select_all
from storage.tables import canaries, cycles, release, stages


class Happenings(Struct, frozen=True):
    """`judged` are gates with their outputs, `returned` moves of the live pointer to a version that had been live before."""

    judged: list[Stage]
    failed: list[Cycle]
    returned: list[Release]
    rolled_back: list[Canary]


async def select_happenings(connection: AsyncConnection, since_s: float) -> Happenings:
    """All since that time, each kind in its order."""
    gates = select(stages).where(stages.c.name == StageName.GATE, stages.c.ended_at_s >= since_s).order_by(stages.c.cycle_id)
    failed = select(cycles).where(cycles.c.state == CycleState.FAILED, cycles.c.ended_at_s >= since_s).order_by(cycles.c.id)
    earlier = release.alias("earlier")
    was_live = exists().where(earlier.c.adapter == release.c.adapter, earlier.c.id < release.c.id)
    returned = select(release).where(release.c.created_at_s >= since_s, was_live).order_by(release.c.id)
    taken_back = (canaries.c.state == CanaryState.ROLLED_BACK, canaries.c.ended_at_s >= since_s)
    return Happenings(
        judged=await select_all(connection, gates, Stage),
        failed=await select_all(connection, failed, Cycle),
        returned=await select_all(connection, returned, Release),
        rolled_back=await select_all(connection, select(canaries).where(*taken_back).order_by(canaries.c.id), Canary),
    )
