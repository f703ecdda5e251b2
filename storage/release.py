"""The live pointer: which adapter answers. It moves by adding a row, and the newest row is the truth."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import GONE, select_adapter, update_adapter_state
from storage.audit import insert_audit
from storage.connect import in_turn
from storage.records import AdapterState, Release
from storage.rows import insert_numbered, select_all
from storage.tables import adapters, release


async def go_live(connection: AsyncConnection, adapter: str, actor: str, reason: str, at_s: float) -> Release:
    """Make this adapter the live one and retire the one before, with an audit entry, in the caller's transaction.

    Changes nothing and raises LookupError if there is no such adapter or it is erased, ValueError if it is live already.
    """
    await in_turn(connection, "release")
    found = await select_adapter(connection, adapter)
    if found is None or found.state is AdapterState.ERASED:  # retention may have come first
        raise LookupError(f"no adapter {adapter!r} that is still there")
    live = await select_live(connection)
    previous = None if live is None else live.adapter
    if previous == adapter:
        raise ValueError(f"adapter {adapter!r} is already live")
    values = {"adapter": adapter, "previous": previous, "actor": actor, "reason": reason, "created_at_s": at_s}
    number = await insert_numbered(connection, release, values)
    if previous is not None:
        await update_adapter_state(connection, previous, AdapterState.RETIRED)
    await update_adapter_state(connection, adapter, AdapterState.LIVE)
    await insert_audit(connection, actor, "go_live", adapter, reason, at_s)
    return Release(number, adapter, previous, actor, reason, at_s)


async def select_live(connection: AsyncConnection) -> Release | None:
    """The move that made the live adapter live; None before the first."""
    return next(iter(await select_history(connection, limit=1)), None)


async def select_previous(connection: AsyncConnection) -> str | None:
    """The adapter a rollback returns to: of those that were live before and may be again, the one of the newest move.

    None if there is none: what learnt from somebody who is forgotten, is erased or quarantined does not come back.
    """
    live = select(release.c.adapter).order_by(release.c.id.desc()).limit(1).scalar_subquery()
    before = select(release.c.adapter).join(adapters, adapters.c.name == release.c.adapter)
    fit = before.where(release.c.adapter != live, adapters.c.tainted_at_s.is_(None), adapters.c.state.not_in(GONE))
    return (await connection.scalars(fit.order_by(release.c.id.desc()).limit(1))).first()


async def select_history(connection: AsyncConnection, limit: int) -> list[Release]:
    """The newest `limit` moves, newest first."""
    return await select_all(connection, select(release).order_by(release.c.id.desc()).limit(limit), Release)
