"""Restoring: a home becomes what a backup holds, checked before anything is touched.

Nobody who was forgotten after the backup was made comes back: the receipts in the home that is replaced say who it was, and
those people are erased again. Their rows in dataset files go when the service next starts and finds the new receipts.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import reject_candidates
from storage.archive import DATABASE, DUMP, KEY, SETTINGS, BackupError, Manifest, opened, unpack
from storage.artifacts import ADAPTERS, DATASETS, Artifacts
from storage.connect import database_url
from storage.cycles import select_cycle, select_running, update_cycle
from storage.database import Database
from storage.datasets import select_overfull
from storage.dump import restore_dump
from storage.erase import erase_person, mark
from storage.migrate import migrate, refuse_newer
from storage.placing import exchanged, put_back
from storage.records import CycleState, Erasure
from storage.rows import insert
from storage.settings import StorageSettings
from storage.tables import erasures, people

ASIDE = "restoring-"  # folders below the home in which backups are unpacked
FILES = ("artifacts", "cycles")  # what belongs to the records that are replaced
SQLITE = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
RECEIPTS = "receipts.json"  # below the home while a restored PostgreSQL may not have them yet


class Restored(Struct, frozen=True):
    """What a restore did."""

    created_at_s: float  # of the backup
    schema_before: str  # of the backup
    schema: str
    files: int
    forgotten: int  # people in the backup who were erased again
    warning: str | None = None  # what could not be kept of the home as it was


def restore(home: Path, file: Path, settings_of: Callable[[Path], StorageSettings], now_s: float, force: bool = False) -> Restored:
    """Make the home what the backup holds, while nobody uses it. `settings_of` reads the settings that lie in a folder.

    Settings and the operator's key stay where the backup has none; working files of cycles go, and a cycle that ran is
    cancelled. Raises BackupError, DumpError, ArtifactError, NewerSchemaError or OSError, and the home is as it was; without
    `force` also where there is a database already.
    """
    put_back(home)
    for left in home.glob(f"{ASIDE}*"):
        shutil.rmtree(left)
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=home))
    try:
        with opened(file) as (tar, manifest):
            refuse_newer(str(file), manifest.schema)
            if manifest.database == "sqlite" and not force:
                _refuse_to_replace((home / DATABASE).exists(), str(home / DATABASE))
            unpack(tar, manifest, aside)
        settings = settings_of(aside if (aside / SETTINGS).exists() else home)
        if manifest.database == "sqlite":
            return _restore_sqlite(home, aside, manifest, settings, now_s)
        return _restore_postgresql(home, aside, manifest, settings, now_s, force)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _restore_sqlite(home: Path, aside: Path, manifest: Manifest, settings: StorageSettings, now_s: float) -> Restored:
    """All that can fail happens aside; then the files are exchanged."""
    if settings.url is not None:
        raise BackupError("the backup holds a SQLite database, but storage.url is set: unset it")
    receipts, warning = _receipts_of_file(home / DATABASE)
    schema, forgotten = asyncio.run(_settle(aside / DATABASE, receipts, now_s))
    asyncio.run(_share(aside / DATABASE, Artifacts(aside, settings.artifacts), manifest))
    with exchanged(home, aside, (*SQLITE, *FILES, *_given(aside))):
        pass
    return Restored(manifest.created_at_s, manifest.schema, schema, len(manifest.members), forgotten, warning)


def _restore_postgresql(
    home: Path, aside: Path, manifest: Manifest, settings: StorageSettings, now_s: float, force: bool
) -> Restored:
    """The database changes in one transaction of the server's; receipts are in a file until they are in it again."""
    if (url := settings.url) is None:
        raise BackupError("the backup holds a PostgreSQL database: set storage.url to one that it may replace")
    receipts = _read_receipts(url)
    _refuse_to_replace(receipts is not None and not force, database_url(url).render_as_string())
    if (home / RECEIPTS).exists():  # an earlier restore was cut off
        receipts = [*(receipts or ()), *msgspec.json.decode((home / RECEIPTS).read_bytes(), type=list[Erasure])]
    _keep(home / RECEIPTS, receipts or ())
    with exchanged(home, aside, (*FILES, *_given(aside))):
        restore_dump(aside / DUMP, url)
    schema, forgotten = asyncio.run(_settle(url, receipts or (), now_s))
    (home / RECEIPTS).unlink()
    asyncio.run(_share(url, Artifacts(home, settings.artifacts), manifest))
    return Restored(manifest.created_at_s, manifest.schema, schema, len(manifest.members), forgotten)


def _refuse_to_replace(is_there: bool, name: str) -> None:
    if is_there:
        raise BackupError(f"{name} is there already: give --force to replace it and all that belongs to it")


def _given(aside: Path) -> list[str]:
    return [name for name in (SETTINGS, KEY) if (aside / name).exists()]


def _receipts_of_file(path: Path) -> tuple[Sequence[Erasure], str | None]:
    """The receipts of a database that may be damaged, and then a warning."""
    if not path.exists():
        return (), None
    try:
        return _read_receipts(path) or (), None
    except DBAPIError as error:
        return (), f"{path} could not be read ({error.orig}): people who were forgotten since the backup may be back"


def _read_receipts(place: Path | str) -> list[Erasure] | None:
    """Every receipt, whatever schema the database is at; None where it has no tables at all."""
    engine = create_engine(database_url(place))
    try:
        with engine.connect() as connection:
            tables = inspect(connection).get_table_names()
            if not tables:
                return None
            rows = connection.execute(select(erasures)).mappings() if erasures.name in tables else ()
            return [msgspec.convert(row, Erasure) for row in rows]
    finally:
        engine.dispose()


def _keep(file: Path, receipts: Sequence[Erasure]) -> None:
    with file.open("wb") as stream:
        stream.write(msgspec.json.encode(receipts))
        stream.flush()
        os.fsync(stream.fileno())


async def _settle(place: Path | str, receipts: Sequence[Erasure], now_s: float) -> tuple[str, int]:
    """Bring a restored database to today: its schema, who is forgotten, and no cycle running; (schema, people forgotten)."""
    _, schema = await asyncio.to_thread(migrate, place)
    assert schema is not None
    database = await Database.open(place)
    try:
        return schema, await database.write(lambda connection: _bring_up_to_date(connection, receipts, now_s))
    finally:
        await database.close()


async def _bring_up_to_date(connection: AsyncConnection, receipts: Sequence[Erasure], now_s: float) -> int:
    running = await select_running(connection)
    if running is not None:
        reasons = ("a backup was restored, and working files are not part of it",)
        await update_cycle(connection, running.id, state=CycleState.CANCELLED, ended_at_s=now_s, reasons=reasons)
        await reject_candidates(connection, running.id)
    return await forget_again(connection, receipts, now_s)


async def forget_again(connection: AsyncConnection, receipts: Sequence[Erasure], now_s: float) -> int:
    """Erase whoever is here but by one of these receipts should not be, and keep the receipts; gives how many people.

    A receipt that is here already was part of the backup: its person was gone before.
    """
    known = set((await connection.scalars(select(erasures.c.id))).all())
    newer = list({receipt.id: receipt for receipt in receipts if receipt.id not in known}.values())
    marks = {one for receipt in newer for one in receipt.marks}
    back = [id for id in (await connection.scalars(select(people.c.id))).all() if mark(id) in marks]
    for person_id in back:
        await erase_person(connection, person_id, now_s)
    for receipt in newer:
        cycle_id = receipt.cycle_id
        if cycle_id is not None and await select_cycle(connection, cycle_id) is None:  # it came after the backup
            cycle_id = None
        await insert(connection, erasures, [msgspec.structs.replace(receipt, cycle_id=cycle_id)])
    return len(back)


async def _share(place: Path | str, artifacts: Artifacts, manifest: Manifest) -> None:
    """Bring what the store lacks there, for services with other homes; but no file that a forgotten person is still in."""
    database = await Database.open(place)
    try:
        overfull = {dataset.path for dataset in await database.read(select_overfull)}
    finally:
        await database.close()
    paths = {"/".join(member.name.split("/")[:3]) for member in manifest.members}
    for path in sorted(path for path in paths - overfull if path.startswith((f"{ADAPTERS}/", f"{DATASETS}/"))):
        await asyncio.to_thread(artifacts.share, artifacts.home / path)
