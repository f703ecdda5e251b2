"""Adapters: the versions that may go live. Which one is live is `release.py`'s to say."""

from __future__ import annotations

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.lineage import select_ancestry
from storage.records import Adapter, AdapterState
from storage.rows import change, insert, select_all, select_one
from storage.tables import adapters

NAMED = select(adapters).where(adapters.c.name == bindparam("name"))
MOVED = update(adapters).where(adapters.c.name == bindparam("at")).values(state=bindparam("to"))
GONE = (AdapterState.ERASED, AdapterState.QUARANTINED)  # what no longer may answer people


async def insert_adapter(connection: AsyncConnection, adapter: Adapter) -> None:
    """Add an adapter; IntegrityError if the name was ever used, or its parent, cycle or dataset is unknown."""
    await insert(connection, adapters, [adapter])


async def select_adapter(connection: AsyncConnection, name: str) -> Adapter | None:
    """The adapter with this name."""
    return await select_one(connection, NAMED, Adapter, name=name)


async def select_adapters(connection: AsyncConnection) -> list[Adapter]:
    """Every adapter, newest first."""
    return await select_all(connection, select(adapters).order_by(adapters.c.position.desc()), Adapter)


async def select_tainted(connection: AsyncConnection) -> list[Adapter]:
    """The adapters that learnt from somebody who is forgotten and are not erased yet, oldest first."""
    tainted = (adapters.c.tainted_at_s.is_not(None), adapters.c.state != AdapterState.ERASED)
    return await select_all(connection, select(adapters).where(*tainted).order_by(adapters.c.position), Adapter)


async def select_clean_ancestor(connection: AsyncConnection, name: str) -> Adapter:
    """The nearest adapter in the ancestry, itself included, that can serve: not tainted, erased or quarantined.

    LookupError if there is none, which means that there is no such adapter: base learns from nobody.
    """
    for ancestor in await select_ancestry(connection, name):
        if ancestor.tainted_at_s is None and ancestor.state not in GONE:
            return ancestor
    raise LookupError(f"no adapter {name!r}")


async def update_adapter_state(connection: AsyncConnection, name: str, state: AdapterState) -> None:
    """Set the state; LookupError if there is no such adapter."""
    if await change(connection, MOVED, at=name, to=state) == 0:
        raise LookupError(f"no adapter {name!r}")


async def reject_candidates(connection: AsyncConnection, cycle_id: int) -> None:
    """Mark what a cycle made and did not bring live as rejected."""
    left = (adapters.c.cycle_id == cycle_id, adapters.c.state == AdapterState.CANDIDATE)
    await connection.execute(update(adapters).where(*left).values(state=AdapterState.REJECTED))


async def readmit_candidates(connection: AsyncConnection, cycle_id: int) -> None:
    """Take back `reject_candidates`, for a cycle that goes on."""
    rejected = (adapters.c.cycle_id == cycle_id, adapters.c.state == AdapterState.REJECTED)
    await connection.execute(update(adapters).where(*rejected).values(state=AdapterState.CANDIDATE))
