"""Lineage, both ways: from what people said to the adapters that learnt from it, and back. One query each.

An adapter has learnt from a message when it, or one it descends from, was trained on a dataset with a row of it: held-out
and dropped rows teach nothing.
"""

from __future__ import annotations

from sqlalchemy import CTE, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Adapter
from storage.rows import select_all
from storage.tables import adapters, dataset_rows

TAUGHT = "train"


async def select_ancestry(connection: AsyncConnection, name: str) -> list[Adapter]:
    """The adapter, its parent, and so on to the first; empty if there is no such adapter."""
    above = _ancestry(name)
    statement = select(adapters).join(above, above.c.name == adapters.c.name)
    return await select_all(connection, statement.order_by(adapters.c.position.desc()), Adapter)


async def select_adapters_of_message(connection: AsyncConnection, message_id: str) -> list[str]:
    """Names of the adapters that learnt from this message, oldest first."""
    return await _learnt(connection, select(dataset_rows.c.dataset_id).where(dataset_rows.c.message_id == message_id))


async def select_adapters_of_person(connection: AsyncConnection, person_id: str) -> list[str]:
    """Names of the adapters that learnt from this person, oldest first."""
    return await _learnt(connection, select(dataset_rows.c.dataset_id).where(dataset_rows.c.person_id == person_id))


async def select_messages_of_adapter(connection: AsyncConnection, name: str) -> list[str]:
    """Ids of the messages that this adapter learnt from, itself or through those it descends from."""
    above = _ancestry(name)
    rows = select(dataset_rows.c.message_id).distinct().join(adapters, adapters.c.dataset_id == dataset_rows.c.dataset_id)
    taught = rows.join(above, above.c.name == adapters.c.name).where(dataset_rows.c.split == TAUGHT)
    return list((await connection.scalars(taught.order_by(dataset_rows.c.message_id))).all())


async def _learnt(connection: AsyncConnection, datasets: Select[tuple[str]]) -> list[str]:
    taught = datasets.where(dataset_rows.c.split == TAUGHT)
    learnt = select(adapters.c.name).where(adapters.c.dataset_id.in_(taught)).cte("learnt", recursive=True)
    learnt = learnt.union(select(adapters.c.name).join(learnt, adapters.c.parent == learnt.c.name))
    statement = select(adapters.c.name).join(learnt, learnt.c.name == adapters.c.name)
    return list((await connection.scalars(statement.order_by(adapters.c.position))).all())


def _ancestry(name: str) -> CTE:
    above = select(adapters.c.name, adapters.c.parent).where(adapters.c.name == name).cte("above", recursive=True)
    return above.union(select(adapters.c.name, adapters.c.parent).join(above, adapters.c.name == above.c.parent))
