"""From a message one finds the adapters that were trained on it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import insert_adapter
from storage.cycles import insert_cycle
from storage.datasets import count_rows, insert_dataset, select_dataset, select_datasets, select_rows
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


def test_datasets_are_listed_and_found_by_how_their_ids_begin(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for number, id in enumerate(["ab1", "ab2", "a%b"], 1):
            await insert_cycle(connection, "manual", "mixed", 1.0)
            await insert_dataset(connection, Dataset(id, number, "", 0, 2.0, {}), [])

        async def ids(limit: int = 10, prefix: str = "") -> list[str]:
            return [one.id for one in await select_datasets(connection, limit, prefix)]

        assert await ids() == ["a%b", "ab2", "ab1"]
        assert (await ids(1), await ids(prefix="ab"), await ids(prefix="a%"), await ids(prefix="b")) == (
            ["a%b"], ["ab2", "ab1"], ["a%b"], [],
        )  # fmt: skip

    in_transaction(place, body)


def test_rows_are_counted_by_split_and_kind(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_cycle(connection, "manual", "mixed", 1.0)
        rows = [row(0, "m-0", "train"), row(1, "m-1", "train"), row(2, "m-2", "dropped")]
        rows.append(DatasetRow("d", 3, "m-3", "ann", "replay", "train", 1.0))
        await insert_dataset(connection, Dataset("d", 1, "", 3, 2.0, {"cap": 1}), rows)
        assert await count_rows(connection, "d") == {"train": {"thumb": 2, "replay": 1}, "dropped": {"thumb": 1}}
        assert await count_rows(connection, "e") == {}

    in_transaction(place, body)
