"""The live pointer: which adapter answers. It moves by adding a row, and the newest row is the truth."""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import GONE, select_adapter, update_adapter_state
from storage.audit import insert_audit
from storage.canaries import end_promoted
from storage.connect import in_turn
from storage.records import AdapterState, Release
from storage.rows import insert_numbered, select_all, select_one
from storage.tables import adapters, release

NEWEST = select(release).order_by(release.c.id.desc()).limit(bindparam("limit", type_=Integer))
LIVE = select(release.c.adapter).order_by(release.c.id.desc()).limit(1).scalar_subquery()
FIT = adapters.c.tainted_at_s.is_(None), *(adapters.c.state != state for state in GONE)
BEFORE = (
    select(release)
    .join(adapters, adapters.c.name == release.c.adapter)
    .where(release.c.adapter != LIVE, *FIT)
    .order_by(release.c.id.desc())
    .limit(1)
)


async def go_live(
    connection: AsyncConnection, adapter: str, actor: str, reason: str, at_s: float, replaces: str | None = None
) -> Release:
    """Make this adapter the live one and retire the one before, with an audit entry, in the caller's transaction.

    If people were trying it, that ends as a promotion. Changes nothing and raises LookupError if there is no such adapter
    or it is erased or quarantined, ValueError if it is live already, or if it `replaces` another than the one that is live.
    """
    await in_turn(connection, "release")
    found = await select_adapter(connection, adapter)
    if found is None or found.state in GONE:  # retention or an operator may have come first
        raise LookupError(f"no adapter {adapter!r} that may go live: it is {found.state.value if found else 'unknown'}")
    live = await select_live(connection)
    previous = None if live is None else live.adapter
    if previous == adapter:
        raise ValueError(f"adapter {adapter!r} is already live")
    if replaces is not None and previous != replaces:
        raise ValueError(f"{adapter} was to replace {replaces}, but {previous} is live now")
    values = {"adapter": adapter, "previous": previous, "actor": actor, "reason": reason, "created_at_s": at_s}
    number = await insert_numbered(connection, release, values)
    if previous is not None:
        await update_adapter_state(connection, previous, AdapterState.RETIRED)
    await update_adapter_state(connection, adapter, AdapterState.LIVE)
    await insert_audit(connection, actor, "go_live", adapter, reason, at_s)
    await end_promoted(connection, adapter, previous, reason, at_s)
    return Release(number, adapter, previous, actor, reason, at_s)


async def select_live(connection: AsyncConnection) -> Release | None:
    """The move that made the live adapter live; None before the first."""
    return next(iter(await select_history(connection, limit=1)), None)


async def select_previous(connection: AsyncConnection) -> str | None:
    """The adapter a rollback returns to: of those that were live before and may be again, the one of the newest move.

    None if there is none: what learnt from somebody who is forgotten, is erased or quarantined does not come back.
    """
    found = await select_one(connection, BEFORE, Release, is_built=True)
    return None if found is None else found.adapter


async def was_live(connection: AsyncConnection, adapter: str) -> bool:
    """Whether the adapter is live or ever was."""
    moves = select(release.c.id).where(release.c.adapter == adapter).limit(1)
    return (await connection.execute(moves)).first() is not None


async def select_history(connection: AsyncConnection, limit: int) -> list[Release]:
    """The newest `limit` moves, newest first."""
    return await select_all(connection, NEWEST, Release, limit=limit)
