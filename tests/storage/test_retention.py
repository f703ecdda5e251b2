"""What is old goes, what is needed stays, and a crash half way is made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import insert_adapter, select_adapters
from storage.artifacts import DATASETS, Artifacts
from storage.conversations import insert_conversation, insert_message, select_conversations
from storage.cycles import insert_cycle, update_cycle
from storage.database import Database
from storage.datasets import insert_dataset, select_dataset, select_rows
from storage.lineage import select_adapters_of_message
from storage.people import insert_person
from storage.records import AdapterState, Conversation, CycleState, Dataset, DatasetRow
from storage.release import go_live
from storage.retention import DAY_S, NO_FILE, Removed, apply_retention, give_up_adapters, give_up_datasets
from storage.settings import StorageSettings
from tests.databases import Place
from tests.storage.loop import adapter, message, person, with_database

KEEP_NOTHING = StorageSettings(keep_retired_adapters=0, keep_rejected_adapters=0, keep_datasets=0)
NOTHING = Removed(0, 0, 0)
GONE = AdapterState.ERASED

Furnish = Callable[[AsyncConnection], Awaitable[None]]


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "home")


def publish_adapter(artifacts: Artifacts, name: str) -> Path:
    tmp = artifacts.temporary_dir()
    (tmp / "weights").write_text(name)
    artifacts.publish(tmp, artifacts.adapter_dir(name))
    return artifacts.adapter_dir(name)


def publish_dataset(artifacts: Artifacts, id: str) -> Path:
    tmp = artifacts.temporary_dir() / "rows"
    tmp.write_text(id)
    artifacts.publish(tmp, artifacts.dataset_file(id))
    return artifacts.dataset_file(id)


def dataset(id: str, cycle_id: int, at_s: float) -> Dataset:
    return Dataset(id, cycle_id, f"{DATASETS}/{id}.jsonl", 1, at_s, {}, "ab")


async def adapters_of_a_long_life(connection: AsyncConnection) -> None:
    """v1 to v4 were live one after the other, then v5, which is; n1 and n2 were rejected. The newest come last."""
    await insert_adapter(connection, adapter("base"))
    await insert_cycle(connection, "manual", "kto", 1.0)
    await update_cycle(connection, 1, state=CycleState.PROMOTED)
    await go_live(connection, "base", "setup", "", 1.0)
    for number in range(1, 6):
        await insert_adapter(connection, adapter(f"v{number}", parent="base", cycle_id=1))
        await go_live(connection, f"v{number}", "cycle", "", 1.0 + number)
    for name in ("n1", "n2"):
        await insert_adapter(connection, adapter(name, parent="v5", cycle_id=1, state=AdapterState.REJECTED))


def states(place: Place) -> dict[str, AdapterState]:
    found = with_database(place, lambda db: db.read(select_adapters))
    return {one.name: one.state for one in found}


def run(place: Place, artifacts: Artifacts, settings: StorageSettings, now_s: float = 1e9) -> Removed:
    return with_database(place, lambda db: apply_retention(db, artifacts, settings, now_s))


def furnish(place: Place, body: Furnish) -> None:
    with_database(place, lambda db: db.write(body))


def test_the_newest_of_each_kind_stay_and_what_serves_always_does(place: Place, artifacts: Artifacts) -> None:
    furnish(place, adapters_of_a_long_life)
    folders = {name: publish_adapter(artifacts, name) for name in states(place)}
    settings = StorageSettings(keep_retired_adapters=2, keep_rejected_adapters=1)  # retired are base and v1 to v4
    assert run(place, artifacts, settings) == Removed(adapters=3, datasets=0, conversations=0)
    assert {name for name, state in states(place).items() if state is GONE} == {"v1", "v2", "n1"}
    assert {name for name, folder in folders.items() if not folder.exists()} == {"v1", "v2", "n1"}
    assert run(place, artifacts, settings) == NOTHING


def test_keeping_none_still_keeps_base_the_live_version_and_the_way_back(place: Place, artifacts: Artifacts) -> None:
    furnish(place, adapters_of_a_long_life)
    run(place, artifacts, KEEP_NOTHING)
    assert {name for name, state in states(place).items() if state is not GONE} == {"base", "v4", "v5"}


def test_candidates_quarantined_and_tainted_adapters_and_those_of_a_running_cycle_stay(place: Place, artifacts: Artifacts) -> None:
    async def body(connection: AsyncConnection) -> None:
        await adapters_of_a_long_life(connection)
        await insert_cycle(connection, "manual", "kto", 1.0)
        for name, more in {
            "candidate": {"cycle_id": 2},
            "judged": {"cycle_id": 2, "state": AdapterState.REJECTED},
            "quarantined": {"cycle_id": 1, "state": AdapterState.QUARANTINED},
            "tainted": {"cycle_id": 1, "state": AdapterState.RETIRED, "tainted_at_s": 5.0},
        }.items():
            await insert_adapter(connection, adapter(name, parent="v5", **more))

    furnish(place, body)
    run(place, artifacts, KEEP_NOTHING)
    found = states(place)
    assert GONE not in {found[name] for name in ("candidate", "judged", "quarantined", "tainted")}


async def three_datasets(connection: AsyncConnection) -> None:
    """d1 of an ended cycle that made v1; d2 of another; d3, the oldest, of the running one."""
    for number in (1, 2, 3):
        await insert_cycle(connection, "manual", "kto", 1.0)
        made = dataset(f"d{number}", number, float(number % 3))
        await insert_dataset(connection, made, [DatasetRow(made.id, 0, f"m{number}", "ann", "thumb", "train", 1.0)])
    for number in (1, 2):
        await update_cycle(connection, number, state=CycleState.PROMOTED)
    await insert_adapter(connection, adapter("v1", dataset_id="d1", cycle_id=1))


def test_files_of_datasets_go_and_their_manifests_stay(place: Place, artifacts: Artifacts) -> None:
    furnish(place, three_datasets)
    files = [publish_dataset(artifacts, f"d{number}") for number in (1, 2, 3)]
    assert run(place, artifacts, StorageSettings(keep_datasets=1)) == Removed(adapters=0, datasets=1, conversations=0)
    assert [file.exists() for file in files] == [False, True, True]  # d3 is older than d1, but its cycle runs

    async def check(db: Database) -> None:
        emptied = await db.read(lambda c: select_dataset(c, "d1"))
        assert emptied is not None
        assert emptied.path == NO_FILE
        assert len(await db.read(lambda c: select_rows(c, "d1"))) == 1
        assert await db.read(lambda c: select_adapters_of_message(c, "m1")) == ["v1"]

    with_database(place, check)
    assert run(place, artifacts, StorageSettings(keep_datasets=1)) == NOTHING


async def conversations_of(connection: AsyncConnection) -> None:
    """`old` and `older` ended 40 and 400 days before day 1000, `new` an hour before it."""
    await insert_person(connection, person("owner"))
    for id, day in (("old", 960.0), ("older", 600.0), ("new", 1000.0 - 1 / 24)):
        await insert_conversation(connection, Conversation(id, "owner", 1.0, updated_at_s=day * DAY_S))
        await insert_message(connection, message(f"m-{id}", None, conversation_id=id))


@pytest.mark.parametrize(("days", "left"), [(None, ["new", "old", "older"]), (100.0, ["new", "old"]), (30.0, ["new"])])
def test_conversations_go_by_when_something_was_last_said(
    place: Place, artifacts: Artifacts, days: float | None, left: list[str]
) -> None:
    furnish(place, conversations_of)
    removed = run(place, artifacts, StorageSettings(keep_conversation_days=days), 1000.0 * DAY_S)
    assert removed.conversations == 3 - len(left)
    found = with_database(place, lambda db: db.read(lambda c: select_conversations(c, "owner", 10)))
    assert [conversation.id for conversation in found] == left


def test_more_conversations_than_one_transaction_takes_all_go(place: Place, artifacts: Artifacts) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_person(connection, person("owner"))
        for number in range(201):
            await insert_conversation(connection, Conversation(f"c{number}", "owner", 1.0, updated_at_s=1.0))

    furnish(place, body)
    assert run(place, artifacts, StorageSettings(keep_conversation_days=1.0)).conversations == 201


def test_after_a_crash_between_rows_and_files_the_next_run_removes_the_files(place: Place, artifacts: Artifacts) -> None:
    async def body(connection: AsyncConnection) -> None:
        await adapters_of_a_long_life(connection)
        await insert_dataset(connection, dataset("d1", 1, 1.0), [])
        assert await give_up_adapters(connection, StorageSettings(keep_retired_adapters=2)) == ["v2", "v1"]
        assert await give_up_datasets(connection, 0) == ["d1"]

    furnish(place, body)
    left = [publish_adapter(artifacts, "v1"), publish_adapter(artifacts, "v2"), publish_dataset(artifacts, "d1")]
    unknown = publish_adapter(artifacts, "v9")  # published, and its row not yet written
    assert run(place, artifacts, StorageSettings()) == Removed(adapters=2, datasets=1, conversations=0)
    assert not any(path.exists() for path in left)
    assert unknown.exists()


def test_it_runs_beside_writers(place: Place, artifacts: Artifacts) -> None:
    async def body(db: Database) -> None:
        await db.write(conversations_of)
        settings = StorageSettings(keep_conversation_days=30.0)
        writes = [db.write(lambda c, n=n: insert_message(c, message(f"n{n}", None, conversation_id="new"))) for n in range(20)]
        removed, *_ = await asyncio.gather(apply_retention(db, artifacts, settings, 1000.0 * DAY_S), *writes)
        assert removed.conversations == 2

    with_database(place, body)


def test_files_in_the_store_go_too(place: Place, tmp_path: Path) -> None:
    store = (tmp_path / "store").as_uri()
    here, there = Artifacts(tmp_path / "here", store), Artifacts(tmp_path / "there", store)
    furnish(place, adapters_of_a_long_life)
    publish_adapter(here, "v1")
    assert run(place, there, StorageSettings(keep_retired_adapters=2)).adapters == 1
    assert not (tmp_path / "store" / "artifacts" / "adapters" / "v1").exists()
    assert run(place, here, StorageSettings(keep_retired_adapters=2)).adapters == 1  # each service has a copy of its own
    assert not here.adapter_dir("v1").exists()
