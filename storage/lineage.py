"""Lineage, both ways: from what people said to the adapters that learnt from it, and back.

An adapter has learnt from a message when it, or one it descends from, was trained on a dataset with a row of it: held-out
and dropped rows teach nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlalchemy import CTE, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Adapter, Cycle, Dataset, Evaluation
from storage.rows import select_all
from storage.tables import adapters, cycles, dataset_rows, datasets, evaluations

TAUGHT = "train"


class Link(Struct, frozen=True):
    """An adapter with all that made it what it is."""

    adapter: Adapter
    dataset: Dataset | None  # None for base, and for what was not trained here
    splits: dict[str, int]  # how many of the dataset's rows it was trained on, was judged by, or never saw
    cycle: Cycle | None  # that made it; its state is the verdict
    evaluations: list[Evaluation]  # with the hash of each suite that judged it


async def select_ancestry(connection: AsyncConnection, name: str) -> list[Adapter]:
    """The adapter, its parent, and so on to the first; empty if there is no such adapter."""
    above = _ancestry(name)
    statement = select(adapters).join(above, above.c.name == adapters.c.name)
    return await select_all(connection, statement.order_by(adapters.c.position.desc()), Adapter)


async def select_chain(connection: AsyncConnection, name: str) -> list[Link]:
    """`select_ancestry` with what each adapter was made of and judged by; empty if there is no such adapter."""
    ancestry = await select_ancestry(connection, name)
    made_by = cycles.c.id.in_([adapter.cycle_id for adapter in ancestry])
    found_cycles = {cycle.id: cycle for cycle in await select_all(connection, select(cycles).where(made_by), Cycle)}
    learnt_from = datasets.c.id.in_([adapter.dataset_id for adapter in ancestry])
    found_datasets = {found.id: found for found in await select_all(connection, select(datasets).where(learnt_from), Dataset)}
    splits = await _count_splits(connection, list(found_datasets))
    judged_by = await _select_evaluations(connection, [adapter.name for adapter in ancestry])
    return [
        Link(
            adapter,
            found_datasets.get(adapter.dataset_id or ""),
            splits[adapter.dataset_id or ""],
            found_cycles.get(adapter.cycle_id or 0),
            judged_by[adapter.name],
        )
        for adapter in ancestry
    ]


async def select_adapters_of_message(connection: AsyncConnection, message_id: str) -> list[str]:
    """Names of the adapters that learnt from this message, oldest first."""
    return await _learnt(connection, select(dataset_rows.c.dataset_id).where(dataset_rows.c.message_id == message_id))


async def select_adapters_of_person(connection: AsyncConnection, person_id: str) -> list[str]:
    """Names of the adapters that learnt from this person, oldest first."""
    return await _learnt(connection, select(dataset_rows.c.dataset_id).where(dataset_rows.c.person_id == person_id))


async def select_messages_of_adapter(
    connection: AsyncConnection, name: str, *, after: str = "", limit: int | None = None
) -> list[str]:
    """Ids, in order, of the messages that this adapter learnt from, itself or through those it descends from.

    All of them, or the first `limit` after the id that ended the page before.
    """
    above = _ancestry(name)
    rows = select(dataset_rows.c.message_id).distinct().join(adapters, adapters.c.dataset_id == dataset_rows.c.dataset_id)
    taught = rows.join(above, above.c.name == adapters.c.name).where(dataset_rows.c.split == TAUGHT)
    of_people = taught.where(dataset_rows.c.person_id != "", dataset_rows.c.message_id > after)  # others are no messages
    return list((await connection.scalars(of_people.order_by(dataset_rows.c.message_id).limit(limit))).all())


async def _count_splits(connection: AsyncConnection, ids: Sequence[str]) -> Mapping[str, dict[str, int]]:
    """Dataset id → split → how many rows of it."""
    rows = select(dataset_rows.c.dataset_id, dataset_rows.c.split, func.count()).where(dataset_rows.c.dataset_id.in_(ids))
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for id, split, number in await connection.execute(rows.group_by(dataset_rows.c.dataset_id, dataset_rows.c.split)):
        counts[id][split] = number
    return counts


async def _select_evaluations(connection: AsyncConnection, names: Sequence[str]) -> Mapping[str, list[Evaluation]]:
    """Adapter → its evaluations, oldest first."""
    statement = select(evaluations).where(evaluations.c.adapter.in_(names)).order_by(evaluations.c.id)
    found: defaultdict[str, list[Evaluation]] = defaultdict(list)
    for evaluation in await select_all(connection, statement, Evaluation):
        found[evaluation.adapter].append(evaluation)
    return found


async def _learnt(connection: AsyncConnection, datasets: Select[tuple[str]]) -> list[str]:
    taught = datasets.where(dataset_rows.c.split == TAUGHT)
    learnt = select(adapters.c.name).where(adapters.c.dataset_id.in_(taught)).cte("learnt", recursive=True)
    learnt = learnt.union(select(adapters.c.name).join(learnt, adapters.c.parent == learnt.c.name))
    statement = select(adapters.c.name).join(learnt, learnt.c.name == adapters.c.name)
    return list((await connection.scalars(statement.order_by(adapters.c.position))).all())


def _ancestry(name: str) -> CTE:
    above = select(adapters.c.name, adapters.c.parent).where(adapters.c.name == name).cte("above", recursive=True)
    return above.union(select(adapters.c.name, adapters.c.parent).join(above, adapters.c.name == above.c.parent))
