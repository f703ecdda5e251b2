"""Lineage holds over generations, in both directions, and tells all that made an adapter what it is."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage import lineage as sql
from storage.adapters import insert_adapter
from storage.cycles import insert_cycle, update_cycle
from storage.datasets import insert_dataset
from storage.evaluations import insert_evaluation
from storage.records import CycleState, Dataset, DatasetRow
from tests.databases import Place
from tests.storage.loop import adapter, in_transaction


def row(dataset_id: str, number: int, message_id: str, split: str = "train", person_id: str = "ann") -> DatasetRow:
    return DatasetRow(dataset_id, number, message_id, person_id, "thumb", split, 1.0, "cap" if split == "dropped" else None)


def dataset(id: str, cycle_id: int, rows: int) -> Dataset:
    return Dataset(id, cycle_id, f"artifacts/datasets/{id}.jsonl", rows, 2.0, {"cap": 1}, "f" * 64)


async def found_family(connection: AsyncConnection) -> None:
    """base → first (of d1) → second (of d2) → grandchild (of nothing), and base → cousin (of d2, too)."""
    for number in (1, 2):
        await insert_cycle(connection, "manual", "mixed", float(number))
    taught = [row("d1", 0, "m-0"), row("d1", 1, "m-1", "heldout"), row("d1", 2, "m-2", "dropped"), row("d1", 3, "m-3")]
    await insert_dataset(connection, dataset("d1", 1, 4), taught)
    replay = row("d2", 2, "anchor-1", person_id="")
    await insert_dataset(connection, dataset("d2", 2, 3), [row("d2", 0, "m-1"), row("d2", 1, "m-0", person_id="bob"), replay])
    await insert_adapter(connection, adapter("base"))
    await insert_adapter(connection, adapter("first", parent="base", cycle_id=1, dataset_id="d1", base_sha256="b" * 64))
    await insert_adapter(connection, adapter("second", parent="first", cycle_id=2, dataset_id="d2"))
    await insert_adapter(connection, adapter("grandchild", parent="second"))
    await insert_adapter(connection, adapter("cousin", parent="base", cycle_id=2, dataset_id="d2"))


def test_an_adapter_descends_from_its_parents_to_base(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await found_family(connection)
        found = await sql.select_ancestry(connection, "grandchild")
        assert [one.name for one in found] == ["grandchild", "second", "first", "base"]
        assert await sql.select_ancestry(connection, "nobody") == []

    in_transaction(place, body)


def test_what_one_learns_its_descendants_have_learnt(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await found_family(connection)
        of = sql.select_adapters_of_message
        assert await of(connection, "m-3") == ["first", "second", "grandchild"]
        assert await of(connection, "m-0") == ["first", "second", "grandchild", "cousin"]
        assert await of(connection, "m-1") == ["second", "grandchild", "cousin"]  # first was only judged by it
        assert await of(connection, "m-2") == []
        assert await sql.select_adapters_of_person(connection, "bob") == ["second", "grandchild", "cousin"]
        assert await sql.select_adapters_of_person(connection, "nobody") == []

    in_transaction(place, body)


def test_the_messages_of_an_adapter_are_those_of_its_line(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await found_family(connection)
        of = sql.select_messages_of_adapter
        assert await of(connection, "first") == ["m-0", "m-3"]
        assert await of(connection, "grandchild") == ["m-0", "m-1", "m-3"]
        assert await of(connection, "grandchild", after="m-0", limit=1) == ["m-1"]
        assert await of(connection, "base") == []

    in_transaction(place, body)


def test_both_directions_agree(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await found_family(connection)
        names = ("base", "first", "second", "grandchild", "cousin")
        there = {(name, id) for name in names for id in await sql.select_messages_of_adapter(connection, name)}
        ids = [f"m-{number}" for number in range(4)]
        back = {(name, id) for id in ids for name in await sql.select_adapters_of_message(connection, id)}
        assert there == back and there

    in_transaction(place, body)


def test_the_chain_tells_what_each_was_made_of_and_judged_by(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await found_family(connection)
        await update_cycle(connection, 1, state=CycleState.PROMOTED, reasons=["better"])
        judged = await insert_evaluation(connection, 1, "first", "facts", "5" * 64, {"a": 1.0, "b": 0.0}, 3.0)
        _, second, first, base = await sql.select_chain(connection, "grandchild")
        assert first.dataset == dataset("d1", 1, 4)
        assert first.splits == {"train": 2, "heldout": 1, "dropped": 1}
        assert first.cycle is not None and (first.cycle.state, first.cycle.reasons) == (CycleState.PROMOTED, ("better",))
        assert first.evaluations == [judged]
        assert second.splits == {"train": 3} and second.evaluations == []
        assert (base.dataset, base.splits, base.cycle, base.evaluations) == (None, {}, None, [])
        assert await sql.select_chain(connection, "nobody") == []

    in_transaction(place, body)
