"""Leases: among the services that share a database, one at a time holds each name."""

from __future__ import annotations

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import insert_missing
from storage.records import Lease
from storage.rows import select_one
from storage.tables import leases


async def take_lease(connection: AsyncConnection, name: str, holder: str, now_s: float, length_s: float) -> bool:
    """Take the lease, or keep it for longer; False while somebody else's has not run out."""
    await insert_missing(connection, leases, Lease(name, holder, now_s + length_s))
    free = or_(leases.c.holder == holder, leases.c.expires_at_s <= now_s)
    taken = update(leases).where(leases.c.name == name, free).values(holder=holder, expires_at_s=now_s + length_s)
    return (await connection.execute(taken)).rowcount == 1


async def drop_lease(connection: AsyncConnection, name: str, holder: str) -> None:
    """Let others have it at once; nothing if it is not this holder's."""
    await connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


async def select_lease(connection: AsyncConnection, name: str) -> Lease | None:
    """Who holds it, or held it last."""
    return await select_one(connection, select(leases).where(leases.c.name == name), Lease)
