"""From a message one finds the adapters that were trained on it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import insert_adapter
from storage.cycles import insert_cycle
from storage.datasets import insert_dataset, select_dataset, select_rows
from storage.lineage import select_adapters_of_message
from storage.records import Dataset, DatasetRow
from tests.databases import Place
from tests.storage.loop import adapter, in_transaction


def row(number: int, message_id: str, split: str) -> DatasetRow:
    return DatasetRow("d", number, message_id, "ann", "thumb", split, 0.5, "cap" if split == "dropped" else None)


def test_only_rows_trained_on_lead_to_the_adapter(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_cycle(connection, "manual", "kto", 1.0)
        dataset = Dataset("d", 1, "artifacts/datasets/d", 2, 2.0, {"cap": 1})
        rows = [row(0, "m-0", "train"), row(1, "m-1", "heldout"), row(2, "m-2", "dropped")]
        await insert_dataset(connection, dataset, rows)
        await insert_adapter(connection, adapter("v1", dataset_id="d", cycle_id=1))
        await insert_adapter(connection, adapter("v2"))
        assert await select_dataset(connection, "d") == dataset
        assert await select_rows(connection, "d") == rows
        assert [await select_adapters_of_message(connection, f"m-{n}") for n in range(3)] == [["v1"], [], []]

    in_transaction(place, body)
