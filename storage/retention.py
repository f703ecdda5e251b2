"""Retention: what has been kept long enough goes. Rows of adapters and datasets stay as history; only their files go.

Rows first, then files: once a row says that a file is gone nobody reaches for it, and what a crash leaves on the disk is
found and removed by the next run. The other way round a rollback could choose a version whose weights are no longer there.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import update_adapter_state
from storage.artifacts import ADAPTERS, DATASETS, Artifacts
from storage.connect import in_turn
from storage.conversations import delete_conversation
from storage.database import Database
from storage.datasets import update_file
from storage.records import AdapterState, Conversation, CycleState
from storage.release import select_live, select_previous
from storage.rows import select_all
from storage.settings import StorageSettings
from storage.tables import adapters, conversations, cycles, datasets

BATCH = 100  # conversations per transaction, so that people who write meanwhile do not wait long
DAY_S = 24 * 3600
NO_FILE = ""  # the path of a dataset whose file has gone


class Removed(Struct, frozen=True):
    """What one run removed, counted."""

    adapters: int
    datasets: int
    conversations: int


async def apply_retention(database: Database, artifacts: Artifacts, settings: StorageSettings, now_s: float) -> Removed:
    """Remove what is older or more than the settings keep. Safe while serving, and in several services at once.

    ArtifactError if the store fails, UnavailableError if the database does: the next run goes on from there.
    """
    await database.write(lambda connection: give_up_adapters(connection, settings))
    await database.write(lambda connection: give_up_datasets(connection, settings.keep_datasets))
    erased = {artifacts.adapter_dir(name) for name in await database.read(_select_erased)}
    emptied = {artifacts.dataset_file(id) for id in await database.read(_select_emptied)}
    return Removed(
        adapters=await asyncio.to_thread(_sweep, artifacts, ADAPTERS, erased),
        datasets=await asyncio.to_thread(_sweep, artifacts, DATASETS, emptied),
        conversations=await _delete_old(database, settings.keep_conversation_days, now_s),
    )


async def give_up_adapters(connection: AsyncConnection, settings: StorageSettings) -> list[str]:
    """Mark as erased what was retired or rejected and is not among the newest; gives the names, newest first.

    Never base, the live version, what a rollback returns to, or what belongs to a running cycle. Not what a forgotten
    person taught either: that is replaced before it goes, and its receipt says when.
    """
    await in_turn(connection, "release")  # nothing of it may go live meanwhile
    keep = {AdapterState.RETIRED: settings.keep_retired_adapters, AdapterState.REJECTED: settings.keep_rejected_adapters}
    needed = await _select_needed(connection)
    names = []
    for state, count in keep.items():
        held = await connection.scalars(_untainted(state).order_by(adapters.c.position.desc()).offset(count))
        names += [name for name in held if name not in needed]
    for name in names:
        await update_adapter_state(connection, name, AdapterState.ERASED)
    return names


async def give_up_datasets(connection: AsyncConnection, keep: int) -> list[str]:
    """Note that the files of all but the newest `keep` datasets are gone, but a running cycle's; gives their ids."""
    running = select(cycles.c.id).where(cycles.c.state == CycleState.RUNNING)
    newest = datasets.c.created_at_s.desc(), datasets.c.id
    filed = select(datasets.c.id).where(datasets.c.path.startswith(f"{DATASETS}/"))
    kept = (await connection.scalars(filed.order_by(*newest).limit(keep))).all()
    old = filed.where(datasets.c.id.not_in(kept), datasets.c.cycle_id.not_in(running))
    ids = list((await connection.scalars(old.order_by(*newest))).all())
    for id in ids:
        await update_file(connection, id, NO_FILE, rows=0, file_sha256="")
    return ids


async def delete_old_conversations(connection: AsyncConnection, before_s: float) -> int:
    """Remove up to `BATCH` conversations in which nothing was said since `before_s`, as their owners could; how many."""
    untouched = (conversations.c.updated_at_s < before_s, conversations.c.created_at_s < before_s)
    oldest = select(conversations).where(*untouched).order_by(conversations.c.updated_at_s).limit(BATCH)
    old = await select_all(connection, oldest.with_for_update(), Conversation)  # an answer that comes now waits, and is refused
    for conversation in old:
        await delete_conversation(connection, conversation.id, conversation.person_id)
    return len(old)


async def _select_needed(connection: AsyncConnection) -> set[str]:
    """Base, the live version, the ones a rollback may return to or that are loaded for it, and a running cycle's."""
    running = select(cycles.c.id).where(cycles.c.state == CycleState.RUNNING)
    apart = select(adapters.c.name).where(adapters.c.parent.is_(None) | adapters.c.cycle_id.in_(running))
    needed: set[str | None] = set((await connection.scalars(apart)).all())
    needed.add(await select_previous(connection))
    if (live := await select_live(connection)) is not None:
        needed |= {live.adapter, live.previous}
    return {name for name in needed if name is not None}


def _untainted(state: AdapterState) -> Select[str]:
    return select(adapters.c.name).where(adapters.c.state == state, adapters.c.tainted_at_s.is_(None))


async def _select_erased(connection: AsyncConnection) -> set[str]:
    return set((await connection.scalars(select(adapters.c.name).where(adapters.c.state == AdapterState.ERASED))).all())


async def _select_emptied(connection: AsyncConnection) -> set[str]:
    return set((await connection.scalars(select(datasets.c.id).where(datasets.c.path == NO_FILE))).all())


def _sweep(artifacts: Artifacts, kind: str, gone: set[Path]) -> int:
    """Remove what is there though its row says that it is gone. What has no row yet is somebody's work."""
    left = [path for path in artifacts.published(kind) if path in gone]
    for path in left:
        artifacts.remove(path)
    return len(left)


async def _delete_old(database: Database, keep_days: float | None, now_s: float) -> int:
    if keep_days is None:
        return 0
    total = 0
    while deleted := await database.write(lambda connection: delete_old_conversations(connection, now_s - keep_days * DAY_S)):
        total += deleted
    return total
