"""What webhooks are told: each event once for each hook, kept until it is taken, so that no restart loses one."""

from __future__ import annotations

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import insert_missing
from storage.records import Delivery
from storage.rows import select_all, select_number
from storage.tables import deliveries


async def insert_delivery(connection: AsyncConnection, delivery: Delivery) -> None:
    """Add one, unless this hook has this event already."""
    await insert_missing(connection, deliveries, delivery)


async def select_event_at(connection: AsyncConnection, hook: str, id: str) -> float | None:
    """When this event happened; None where the hook has it not."""
    this = select(deliveries.c.happened_at_s).where(deliveries.c.hook == hook, deliveries.c.id == id)
    return (await connection.scalars(this)).first()


async def select_due(connection: AsyncConnection, now_s: float, limit: int) -> list[Delivery]:
    """The first `limit` that are to be sent by now, those that have been due for longest first."""
    due = select(deliveries).where(deliveries.c.due_at_s <= now_s).order_by(deliveries.c.due_at_s, deliveries.c.id)
    return await select_all(connection, due.limit(limit), Delivery)


async def update_delivery(connection: AsyncConnection, delivery: Delivery) -> None:
    """Note what became of an attempt."""
    this = update(deliveries).where(deliveries.c.hook == delivery.hook, deliveries.c.id == delivery.id)
    done = {name: getattr(delivery, name) for name in ("attempts", "due_at_s", "delivered_at_s", "problem")}
    await connection.execute(this.values(**done))


async def count_waiting(connection: AsyncConnection) -> int:
    """How many are still to be sent."""
    return await select_number(connection, select(func.count()).where(deliveries.c.due_at_s.is_not(None)))


async def delete_done(connection: AsyncConnection, before_s: float, but: str) -> None:
    """Remove what happened before that time and is not to be sent any more, except for events of this kind."""
    done = (deliveries.c.due_at_s.is_(None), deliveries.c.happened_at_s < before_s, deliveries.c.event != but)
    await connection.execute(delete(deliveries).where(*done))
