"""Quarantine: a version that may not answer people, until an operator gives a reason why it may."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.adapter import BASE
from learner.context import Context, StageError
from learner.failpoint import failpoint
from storage import adapters, audit, canaries
from storage import release as pointer
from storage.adapters import GONE
from storage.records import Adapter, AdapterState, CanaryState


async def quarantine(context: Context, name: str, actor: str, reason: str) -> Adapter:
    """Takes a version away from everybody: its trial ends, and if it is live, the version before takes its place.

    All in one transaction. Raises `StageError` for base, which always is there, for a version that is gone already, for an
    empty reason, and where there is none to roll back to; `AdapterError` when the files of that one are damaged.
    """
    _check_reason(reason)
    if name == BASE:
        raise StageError("base is always there: it cannot be quarantined")
    live = (await release.live_release(context)).adapter
    before = await context.database.read(pointer.select_previous) if live == name else None
    if before is not None:
        await release.load(context, before)
    failpoint("quarantine:loaded")

    async def write(connection: AsyncConnection) -> Adapter:
        found = await release.find_adapter(connection, name)
        if found.state in GONE:
            raise StageError(f"{name} is {found.state.value} already")
        if found.state is AdapterState.LIVE:
            if before is None:
                raise StageError(f"{name} is live and there is no version to roll back to")
            await pointer.go_live(connection, before, actor, f"{name} is quarantined: {reason}", context.clock(), name)
            failpoint("quarantine:replaced")
        tried = await canaries.select_canary(connection, name)
        if tried is not None and tried.state in canaries.OPEN:
            ended = CanaryState.ROLLED_BACK
            await canaries.end_canary(connection, tried, ended, AdapterState.QUARANTINED, actor, reason, context.clock())
        await adapters.update_adapter_state(connection, name, AdapterState.QUARANTINED)
        await audit.insert_audit(connection, actor, "quarantine", name, reason, context.clock())
        return await release.find_adapter(connection, name)

    with release.deciding():
        done = await context.database.write(write)
    failpoint("quarantine:committed")
    await release.tell(context)
    return done


async def restore(context: Context, name: str, actor: str, reason: str) -> Adapter:
    """Lets a quarantined version back, for this reason: retired if it ever answered people, otherwise rejected.

    It is not live by that; a rollback may name it then. Raises `StageError` for an empty reason or another state.
    """
    _check_reason(reason)

    async def write(connection: AsyncConnection) -> Adapter:
        found = await release.find_adapter(connection, name)
        if found.state is not AdapterState.QUARANTINED:
            raise StageError(f"{name} is {found.state.value}, expected a quarantined version")
        answered = await pointer.was_live(connection, name) or await canaries.select_canary(connection, name) is not None
        await adapters.update_adapter_state(connection, name, AdapterState.RETIRED if answered else AdapterState.REJECTED)
        await audit.insert_audit(connection, actor, "restore", name, reason, context.clock())
        return await release.find_adapter(connection, name)

    done = await context.database.write(write)
    failpoint("restore:committed")
    await release.tell(context)
    return done


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise StageError(f"the reason is {reason!r}; expected words that say why")
