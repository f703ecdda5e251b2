"""Datasets: what a cycle trained and tested on, row by row back to the messages."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Dataset, DatasetRow
from storage.rows import insert, select_all, select_one
from storage.tables import dataset_rows, datasets


async def insert_dataset(connection: AsyncConnection, dataset: Dataset, rows: Sequence[DatasetRow]) -> None:
    """Add a dataset with its rows; IntegrityError if its id is taken or its cycle unknown."""
    await insert(connection, datasets, [dataset])
    await insert(connection, dataset_rows, rows)


async def select_dataset(connection: AsyncConnection, id: str) -> Dataset | None:
    """The dataset with this id."""
    return await select_one(connection, select(datasets).where(datasets.c.id == id), Dataset)


async def select_rows(connection: AsyncConnection, dataset_id: str) -> list[DatasetRow]:
    """The dataset's rows by number, the dropped ones too."""
    statement = select(dataset_rows).where(dataset_rows.c.dataset_id == dataset_id).order_by(dataset_rows.c.number)
    return await select_all(connection, statement, DatasetRow)
