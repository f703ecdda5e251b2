"""What a database says of itself to somebody who only looks: the same on both, and beside a service that writes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import checkup
from storage.adapters import insert_adapter
from storage.checkup import CheckupError
from storage.database import Database
from storage.migrate import newest_schema
from storage.release import go_live
from tests.databases import Place
from tests.storage.loop import adapter, with_database


async def release(connection: AsyncConnection) -> None:
    await insert_adapter(connection, adapter("base", sha256="ab"))
    await go_live(connection, "base", "setup", "", 1.0)


def test_schema_and_live_version_are_told_while_others_write(place: Place) -> None:
    async def look(database: Database) -> None:
        assert checkup.select_live(place) is None
        await database.write(release)
        assert (checkup.select_schema(place), checkup.select_live(place)) == (newest_schema(), ("base", "ab"))
        await database.write(lambda connection: insert_adapter(connection, adapter("other")))

    with_database(place, look)
    if isinstance(place, str):
        assert abs(checkup.measure_skew_s(place)) < 5


def test_pages_are_measured_and_nothing_is_changed(tmp_path: Path) -> None:
    file = tmp_path / "ratchet.db"
    with_database(file, lambda database: database.write(release))
    before = file.read_bytes()
    pages = checkup.measure_pages(file)
    assert (pages.journal, pages.bytes) == ("wal", file.stat().st_size) and 0 <= pages.free_bytes < pages.bytes
    assert checkup.find_faults(file) == []
    assert file.read_bytes() == before


def test_a_file_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(CheckupError, match="unable to open"):
        checkup.select_schema(tmp_path / "none.db")
    assert [*tmp_path.iterdir()] == []


def test_what_is_damaged_is_found(tmp_path: Path) -> None:
    file = tmp_path / "some #1?.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE t (x UNIQUE)")
    connection.executemany("INSERT INTO t VALUES (?)", [(f"{n:0200}",) for n in range(200)])
    connection.commit()
    connection.close()
    assert checkup.find_faults(file) == []
    data = bytearray(file.read_bytes())
    data[-4096:] = bytes(4096)
    file.write_bytes(data)
    assert checkup.find_faults(file)
