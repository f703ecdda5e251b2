"""Cycles of learning and their stages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Cycle, CycleState, Stage, StageName
from storage.rows import insert, insert_numbered, select_all, select_number, select_one
from storage.tables import cycles, stages

LEARNT = (CycleState.STAGED, CycleState.PROMOTED, CycleState.REJECTED)  # after these a cycle's evidence does not come again
ORDER = {name: number for number, name in enumerate(StageName)}


class NotRunning(Exception):
    """A cycle has ended, or there is none; the message says which."""


async def insert_cycle(connection: AsyncConnection, trigger: str, method: str, started_at_s: float, corpus: str = "") -> Cycle:
    """Begin a cycle: running, with an id above all before it."""
    begun = Cycle(id=0, trigger=trigger, method=method, state=CycleState.RUNNING, started_at_s=started_at_s, corpus=corpus)
    values = msgspec.structs.asdict(begun)
    del values["id"]
    return msgspec.structs.replace(begun, id=await insert_numbered(connection, cycles, values))


async def select_cycle(connection: AsyncConnection, id: int) -> Cycle | None:
    """The cycle with this id."""
    return await select_one(connection, select(cycles).where(cycles.c.id == id), Cycle)


async def select_cycles(connection: AsyncConnection, limit: int, until: int | None = None) -> list[Cycle]:
    """The newest `limit` cycles, newest first; with `until`, of those up to this one."""
    these = select(cycles) if until is None else select(cycles).where(cycles.c.id <= until)
    return await select_all(connection, these.order_by(cycles.c.id.desc()).limit(limit), Cycle)


async def select_running(connection: AsyncConnection) -> Cycle | None:
    """The newest cycle that has not ended."""
    running = select(cycles).where(cycles.c.state == CycleState.RUNNING)
    return await select_one(connection, running.order_by(cycles.c.id.desc()), Cycle)


async def select_learnt_after(connection: AsyncConnection, id: int) -> Cycle | None:
    """The newest cycle after this one that used evidence up; None where none did."""
    later = select(cycles).where(cycles.c.id > id, cycles.c.state.in_(LEARNT)).order_by(cycles.c.id.desc()).limit(1)
    return await select_one(connection, later, Cycle)


async def update_cycle(
    connection: AsyncConnection,
    id: int,
    *,
    state: CycleState | None = None,
    ended_at_s: float | None = None,
    adapter: str | None = None,
    reasons: Sequence[str] | None = None,
    watermark: int | None = None,
) -> None:
    """Change the fields that are given; None leaves a field as it is. LookupError if there is no such cycle."""
    given = {"state": state, "ended_at_s": ended_at_s, "adapter": adapter, "reasons": reasons, "watermark": watermark}
    changes = {name: value for name, value in given.items() if value is not None}
    # `id=id` keeps a call without changes an UPDATE that finds out whether the cycle is there.
    result = await connection.execute(update(cycles).where(cycles.c.id == id).values(id=id, **changes))
    if result.rowcount == 0:
        raise LookupError(f"no cycle {id}")


async def reopen_cycle(connection: AsyncConnection, id: int) -> Cycle:
    """Have a failed cycle run again, as if it had not ended; LookupError if there is no such cycle, or it did not fail."""
    failed = (cycles.c.id == id, cycles.c.state == CycleState.FAILED)
    running = {"state": CycleState.RUNNING, "ended_at_s": None, "adapter": None, "reasons": ()}
    if (await connection.execute(update(cycles).where(*failed).values(**running))).rowcount == 0:
        raise LookupError(f"no failed cycle {id}")
    reopened = await select_cycle(connection, id)
    assert reopened is not None
    return reopened


async def check_running(connection: AsyncConnection, id: int) -> None:
    """Raise NotRunning unless this cycle runs: what one that was ended from outside still makes is not to be kept."""
    found = await select_cycle(connection, id)
    if found is None or found.state is not CycleState.RUNNING:
        raise NotRunning(f"cycle {id} is {found.state.value if found else 'unknown'}, expected it to be running")


async def last_watermark(connection: AsyncConnection) -> int:
    """The feedback position up to which evidence is used up, 0 when none is.

    Only a promotion, a rejection, or what is still to become one of them uses evidence up: after any other end it waits
    for more of its kind.
    """
    return await select_number(connection, select(func.max(cycles.c.watermark)).where(cycles.c.state.in_(LEARNT)))


async def last_seen(connection: AsyncConnection) -> int:
    """The feedback position up to which any cycle has looked, whatever became of it; 0 when none has."""
    return await select_number(connection, select(func.max(cycles.c.watermark)))


async def start_stage(connection: AsyncConnection, cycle_id: int, name: StageName, started_at_s: float) -> Stage:
    """Begin a stage, or begin it again if it never finished; ValueError if it has finished."""
    begun = Stage(cycle_id=cycle_id, name=name, started_at_s=started_at_s)
    same = (stages.c.cycle_id == cycle_id, stages.c.name == name)
    again = update(stages).where(*same, stages.c.ended_at_s.is_(None)).values(started_at_s=started_at_s)
    if (await connection.execute(again)).rowcount == 0:
        if await select_one(connection, select(stages).where(*same), Stage) is not None:
            raise ValueError(f"stage {name.value!r} of cycle {cycle_id} has already finished")
        await insert(connection, stages, [begun])
    return begun


async def finish_stage(
    connection: AsyncConnection, cycle_id: int, name: StageName, ended_at_s: float, output: dict[str, object]
) -> None:
    """Keep a stage's output and end; LookupError if it was not started or has already finished."""
    running = (stages.c.cycle_id == cycle_id, stages.c.name == name, stages.c.ended_at_s.is_(None))
    finished = update(stages).where(*running).values(ended_at_s=ended_at_s, output=output)
    if (await connection.execute(finished)).rowcount == 0:
        raise LookupError(f"no running stage {name.value!r} in cycle {cycle_id}")


async def select_stages(connection: AsyncConnection, cycle_id: int) -> list[Stage]:
    """The cycle's stages so far, in the order in which a cycle runs them."""
    found = await select_all(connection, select(stages).where(stages.c.cycle_id == cycle_id), Stage)
    return sorted(found, key=lambda stage: ORDER[stage.name])


async def select_outputs(connection: AsyncConnection, name: StageName, since: int) -> list[Stage]:
    """The stages of this name that have ended, of cycle `since` and later, in the cycles' order."""
    ended = (stages.c.name == name, stages.c.cycle_id >= since, stages.c.ended_at_s.is_not(None))
    return await select_all(connection, select(stages).where(*ended).order_by(stages.c.cycle_id), Stage)


async def select_states(connection: AsyncConnection, before: int) -> dict[int, CycleState]:
    """The state of every cycle before this one, oldest first."""
    found = await connection.execute(select(cycles.c.id, cycles.c.state).where(cycles.c.id < before).order_by(cycles.c.id))
    return {id: CycleState(state) for id, state in found}
