"""Datasets: what a cycle trained and tested on, row by row back to the messages."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import CycleState, Dataset, DatasetRow
from storage.rows import insert, select_all, select_one
from storage.tables import cycles, dataset_rows, datasets, people

DROPPED = "dropped"  # a row of the manifest that is not in the file


async def insert_dataset(connection: AsyncConnection, dataset: Dataset, rows: Sequence[DatasetRow]) -> None:
    """Add a dataset with its rows; IntegrityError if its id is taken or its cycle unknown."""
    await insert(connection, datasets, [dataset])
    await insert(connection, dataset_rows, rows)


async def select_dataset(connection: AsyncConnection, id: str) -> Dataset | None:
    """The dataset with this id."""
    return await select_one(connection, select(datasets).where(datasets.c.id == id), Dataset)


async def select_datasets(connection: AsyncConnection, limit: int, prefix: str = "") -> list[Dataset]:
    """The datasets whose ids begin like this, newest first."""
    named = select(datasets).where(datasets.c.id.startswith(prefix, autoescape=True))
    return await select_all(connection, named.order_by(datasets.c.cycle_id.desc(), datasets.c.id).limit(limit), Dataset)


async def select_kept(connection: AsyncConnection, limit: int) -> list[Dataset]:
    """The newest datasets whose files are still kept, newest first."""
    kept = select(datasets).where(datasets.c.path != "").order_by(datasets.c.created_at_s.desc(), datasets.c.id)
    return await select_all(connection, kept.limit(limit), Dataset)


async def count_rows(connection: AsyncConnection, dataset_id: str) -> dict[str, dict[str, int]]:
    """Split → kind → how many rows of the dataset, the dropped ones too."""
    columns = (dataset_rows.c.split, dataset_rows.c.kind)
    own = select(*columns, func.count()).where(dataset_rows.c.dataset_id == dataset_id)
    counts: dict[str, dict[str, int]] = {}
    for split, kind, number in await connection.execute(own.group_by(*columns).order_by(*columns)):
        counts.setdefault(split, {})[kind] = number
    return counts


async def select_rows(connection: AsyncConnection, dataset_id: str) -> list[DatasetRow]:
    """The dataset's rows by number, the dropped ones too."""
    statement = select(dataset_rows).where(dataset_rows.c.dataset_id == dataset_id).order_by(dataset_rows.c.number)
    return await select_all(connection, statement, DatasetRow)


async def select_willing(connection: AsyncConnection, dataset_id: str) -> set[str]:
    """Ids of the people with rows in the dataset who are still here and let cycles learn from them."""
    own = select(people.c.id).join(dataset_rows, dataset_rows.c.person_id == people.c.id).distinct()
    return set((await connection.scalars(own.where(dataset_rows.c.dataset_id == dataset_id, people.c.learn))).all())


async def select_promoted(connection: AsyncConnection, before: int) -> list[Dataset]:
    """The datasets of cycles before this one whose adapters went live, oldest first."""
    promoted = select(datasets).join(cycles, cycles.c.id == datasets.c.cycle_id)
    earlier = promoted.where(cycles.c.state == CycleState.PROMOTED, cycles.c.id < before)
    return await select_all(connection, earlier.order_by(cycles.c.id), Dataset)


async def select_overfull(connection: AsyncConnection) -> list[Dataset]:
    """The datasets whose files have rows that their manifests no longer name, since a person was forgotten."""
    named = select(func.count()).where(dataset_rows.c.dataset_id == datasets.c.id, dataset_rows.c.split != DROPPED)
    overfull = datasets.c.rows > named.scalar_subquery()
    return await select_all(connection, select(datasets).where(overfull).order_by(datasets.c.cycle_id), Dataset)


async def update_file(connection: AsyncConnection, id: str, path: str, rows: int, file_sha256: str) -> None:
    """Note where the dataset's file is and what is in it; LookupError if there is no such dataset."""
    noted = update(datasets).where(datasets.c.id == id).values(path=path, rows=rows, file_sha256=file_sha256)
    if (await connection.execute(noted)).rowcount == 0:
        raise LookupError(f"no dataset {id!r}")
