"""Canaries: versions that a share of the people try before they go live. At most three at once, in a slot each.

Every move says whom it is by and why, in the audit log. It changes nothing and raises LookupError when the canary is no
longer as it was when the move was decided: somebody else came first.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import select_tainted, update_adapter_state
from storage.audit import insert_audit
from storage.connect import in_turn
from storage.cycles import select_cycle, update_cycle
from storage.failures import delete_failures
from storage.records import AdapterState, Canary, CanaryState, CanaryStep, CycleState
from storage.rows import insert_numbered, select_all, select_number, select_one
from storage.tables import canaries, canary_steps, messages

SLOTS = 3
OPEN = (CanaryState.WAITING_APPROVAL, CanaryState.RUNNING, CanaryState.HELD)
THOSE_OPEN = select(canaries).where(or_(*(canaries.c.state == state for state in OPEN))).order_by(canaries.c.id)
ACTOR = "release"  # in the audit log, of what follows from another move


class NoSlotError(Exception):
    """As many versions are tried as can be at once; the message names them."""


async def insert_canary(
    connection: AsyncConnection, adapter: str, against: str, cycle_id: int, state: CanaryState, at_s: float, reason: str
) -> Canary:
    """Begin to try a version, in a free slot; the cycles take the slots in turn, and so different people. NoSlotError."""
    await in_turn(connection, "release")
    free = await select_slots(connection)
    since = await select_number(connection, select(func.max(messages.c.position)))
    slot = free[cycle_id % len(free)]
    begun = Canary(0, adapter, against, cycle_id, state, slot, at_s, at_s, since=since, reason=reason)
    values = msgspec.structs.asdict(begun)
    del values["id"]
    begun = msgspec.structs.replace(begun, id=await insert_numbered(connection, canaries, values))
    await update_adapter_state(connection, adapter, AdapterState.CANARY)
    await insert_audit(connection, "cycle", f"canary.{state.value}", adapter, f"against {against}: {reason}", at_s)
    return begun


async def select_slots(connection: AsyncConnection) -> list[int]:
    """Those that are free; NoSlotError where none is."""
    tried = await select_open(connection)
    free = sorted(set(range(SLOTS)) - {one.slot for one in tried})
    if not free:
        names = ", ".join(one.adapter for one in tried)
        raise NoSlotError(f"{names} are being tried; expected at most {SLOTS} at once: promote or roll back one of them first")
    return free


async def select_canary(connection: AsyncConnection, adapter: str) -> Canary | None:
    """The newest try of this version."""
    newest = select(canaries).where(canaries.c.adapter == adapter).order_by(canaries.c.id.desc())
    return await select_one(connection, newest, Canary)


async def select_canary_of_cycle(connection: AsyncConnection, cycle_id: int) -> Canary | None:
    """The newest try of what this cycle made."""
    newest = select(canaries).where(canaries.c.cycle_id == cycle_id).order_by(canaries.c.id.desc())
    return await select_one(connection, newest, Canary)


async def select_open(connection: AsyncConnection) -> list[Canary]:
    """Those that have not ended, oldest first."""
    return await select_all(connection, THOSE_OPEN, Canary, is_built=True)


async def select_canaries(connection: AsyncConnection, limit: int) -> list[Canary]:
    """The newest `limit`, newest first."""
    return await select_all(connection, select(canaries).order_by(canaries.c.id.desc()).limit(limit), Canary)


async def update_canary(connection: AsyncConnection, seen: Canary, now: Canary, actor: str, action: str, at_s: float) -> Canary:
    """Make a canary that still is as it was seen into what it is `now`."""
    await in_turn(connection, "release")
    same = (canaries.c.id == seen.id, canaries.c.state == seen.state, canaries.c.stage == seen.stage)
    values = msgspec.structs.asdict(now)
    if (await connection.execute(update(canaries).where(*same).values(values))).rowcount == 0:
        raise LookupError(f"{seen.adapter} is no longer {seen.state.value} in stage {seen.stage}")
    await insert_audit(connection, actor, f"canary.{action}", seen.adapter, now.reason, at_s)
    return now


async def insert_step(connection: AsyncConnection, step: CanaryStep) -> None:
    """Note a move, in the transaction that makes it. The step's own id is given here."""
    values = msgspec.structs.asdict(step)
    del values["id"]
    await insert_numbered(connection, canary_steps, values)


async def select_steps(connection: AsyncConnection, canary_id: int) -> list[CanaryStep]:
    """A canary's moves, oldest first."""
    own = select(canary_steps).where(canary_steps.c.canary_id == canary_id).order_by(canary_steps.c.id)
    return await select_all(connection, own, CanaryStep)


async def end_canary(
    connection: AsyncConnection,
    seen: Canary,
    state: CanaryState,
    becomes: AdapterState,
    actor: str,
    reason: str,
    at_s: float,
) -> Canary:
    """End a try in one of the states in which it can end, with what becomes of the version and of its cycle.

    The failures that tries are compared by go with the last of them.
    """
    ended = msgspec.structs.replace(seen, state=state, ended_at_s=at_s, reason=reason)
    await update_canary(connection, seen, ended, actor, state.value, at_s)
    await update_adapter_state(connection, seen.adapter, becomes)
    await settle_cycle(connection, seen.cycle_id)
    if not await select_open(connection):
        await delete_failures(connection)
    return ended


async def end_promoted(connection: AsyncConnection, adapter: str, replaced: str | None, reason: str, at_s: float) -> None:
    """End the try of a version that goes live, if it was tried, and with it those against the version that it replaces."""
    tried = await select_open(connection)
    if not any(one.adapter == adapter for one in tried):
        return
    for one in tried:
        if one.adapter == adapter:
            await end_canary(connection, one, CanaryState.PROMOTED, AdapterState.LIVE, ACTOR, reason, at_s)
        elif one.against == replaced:
            why = f"{adapter} went live and replaced {replaced}, which it was tried against"
            await end_canary(connection, one, CanaryState.ENDED, AdapterState.REJECTED, ACTOR, why, at_s)


async def end_tainted(connection: AsyncConnection, at_s: float) -> list[Canary]:
    """End the tries of versions that learnt from somebody who is forgotten; gives them."""
    tainted = {adapter.name for adapter in await select_tainted(connection)}
    why = "it learnt from somebody who is forgotten"
    return [
        await end_canary(connection, one, CanaryState.ENDED, AdapterState.REJECTED, ACTOR, why, at_s)
        for one in await select_open(connection)
        if one.adapter in tainted
    ]


async def settle_cycle(connection: AsyncConnection, cycle_id: int) -> None:
    """Give a staged cycle the end that the try of its candidate came to. Nothing while either still goes on."""
    cycle = await select_cycle(connection, cycle_id)
    tried = await select_canary_of_cycle(connection, cycle_id)
    if cycle is None or cycle.state is not CycleState.STAGED or tried is None or tried.state in OPEN:
        return
    end = CycleState.PROMOTED if tried.state is CanaryState.PROMOTED else CycleState.REJECTED
    await update_cycle(connection, cycle_id, state=end, reasons=(*cycle.reasons, tried.reason))
