"""Forgetting a person, the whole act: their rows, the files that hold their words, and the versions that learnt from them.

Rows first: once they are gone, in one transaction, nothing can read or learn from the person any more. The receipt of
that transaction is what finds the rest: as long as it is unfinished, `finish` goes through the files, when the service
starts or when anybody is forgotten, so that a crash in between only delays it. Files first would leave datasets that do
not match their hashes, and a person who would have to ask again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.engine import EngineError
from learner.failpoint import failpoint
from learner.rebuild import erase_tainted
from learner.rows import Row, read_rows, write_rows
from learner.train.rewards import remove_rewards
from learner.workfiles import clear_ended
from storage import adapters, audit, cycles, datasets, erase
from storage.artifacts import ADAPTERS, DATASETS, ArtifactError
from storage.database import UnavailableError
from storage.records import CycleState, Dataset, Erasure

logger = logging.getLogger(__name__)


async def forget(context: Context, person_id: str, actor: str, end_cycle: Callable[[], Awaitable[object]]) -> Erasure:
    """Forgets a person and gives the receipt. `actor` is who asked, never a person's id. LookupError for an unknown person.

    A running cycle is cancelled, as it may have read what the person said; `end_cycle` stops its work. What is live stays
    live, even when it learnt from the person: the next cycle replaces it. Raises `ArtifactError` or `UnavailableError`
    when files could not be reached: then the rest is done later.
    """

    async def erase_rows(connection: AsyncConnection) -> Erasure:
        receipt = await erase.erase_person(connection, person_id, context.clock())
        await _cancel_cycle(connection, context.clock())
        await audit.insert_audit(connection, actor, "forget", receipt.id, "", context.clock())
        return receipt

    async with context.forgetting:
        await finish(context)  # what an earlier try left
        receipt = await context.database.write(erase_rows)
        failpoint("forget:erased")
        await end_cycle()
        await finish(context)
    finished = await context.database.read(lambda connection: erase.select_erasure(connection, receipt.id))
    assert finished is not None
    return finished


async def resume(context: Context) -> None:
    """`finish` for a service that starts: what cannot be done yet is told, and done when anybody is forgotten."""
    try:
        async with context.forgetting:
            await finish(context)
    except (ArtifactError, UnavailableError) as error:
        logger.warning("somebody who is forgotten may still be in files: %s", error)


async def finish(context: Context) -> None:
    """Does what receipts say is still to be done, one call at a time. Again is harmless. Raises as `forget` does."""
    unfinished = await context.database.read(erase.select_unfinished)
    if not unfinished:
        return
    files = await _rewrite_datasets(context)
    running = await context.database.read(cycles.select_running)
    files += await asyncio.to_thread(clear_ended, context.home, running.id if running else None)
    if running is None:
        files += await _remove_unknown(context)
    failpoint("forget:files")
    await context.database.sweep()
    for receipt in unfinished:
        await context.database.write(partial(erase.finish_erasure, receipt=receipt, files=files))
    try:
        await erase_tainted(context, None)
    except (EngineError, ArtifactError) as error:  # the end of every cycle tries again
        logger.warning("what learnt from somebody who is forgotten could not be erased yet: %s", error)


async def _cancel_cycle(connection: AsyncConnection, now_s: float) -> None:
    running = await cycles.select_running(connection)
    if running is not None:
        reasons = ("somebody was forgotten",)
        await cycles.update_cycle(connection, running.id, state=CycleState.CANCELLED, ended_at_s=now_s, reasons=reasons)
        await adapters.reject_candidates(connection, running.id)


async def _rewrite_datasets(context: Context) -> int:
    """Writes the files anew that have rows their manifests no longer name, and removes what rewards by them; gives how many."""
    overfull = await context.database.read(datasets.select_overfull)
    removed = await remove_rewards(context, {dataset.id for dataset in overfull})  # first: afterwards nothing names them
    for dataset in overfull:
        rows = await context.database.read(partial(datasets.select_rows, dataset_id=dataset.id))
        named = {row.message_id for row in rows if row.split != datasets.DROPPED}
        path, left, sha256 = await asyncio.to_thread(_rewrite, context, dataset, named)
        note = partial(datasets.update_file, id=dataset.id, path=path, rows=left, file_sha256=sha256)
        await context.database.write(note)
    return len(overfull) + removed


def _rewrite(context: Context, dataset: Dataset, named: set[str]) -> tuple[str, int, str]:
    """Leaves only the named rows in a dataset's file; gives its path, the number of rows and the hash."""
    artifacts, place = context.artifacts, context.artifacts.dataset_file(dataset.id)
    rows = _read_what_is_there(context, place, dataset)
    if rows is None:
        artifacts.remove(place)
        return "", len(named), dataset.file_sha256
    left = [row for row in rows if row.id in named]
    folder = artifacts.temporary_dir()
    write_rows(folder / place.name, left)
    sha256 = artifacts.sha256_of(folder / place.name)
    artifacts.replace(folder / place.name, place)
    folder.rmdir()
    if (old := context.home / dataset.path) != place:
        old.unlink(missing_ok=True)
    return str(place.relative_to(context.home)), len(left), sha256


def _read_what_is_there(context: Context, place: Path, dataset: Dataset) -> list[Row] | None:
    """A dataset's rows, whatever the file's hash: an earlier try may have been cut off after writing. None without a file."""
    here = [file for file in (place, context.home / dataset.path) if file.is_file()]
    if not here and place not in context.artifacts.published(DATASETS):
        return None  # it was not kept for so long
    file = here[0] if here else context.artifacts.fetch(place, dataset.file_sha256)
    try:
        return list(read_rows(file))
    except ValueError as damaged:
        logger.warning("a dataset that cannot be read is removed: %s", damaged)
        return None


async def _remove_unknown(context: Context) -> int:
    """Removes what was published for a cycle that was ended before it could say so in a row; gives how many."""
    published = [*await asyncio.to_thread(context.artifacts.published, ADAPTERS)]
    published += await asyncio.to_thread(context.artifacts.published, DATASETS)

    async def select_unknown(connection: AsyncConnection) -> list[Path]:
        return [
            path
            for path in published
            if await adapters.select_adapter(connection, path.name) is None
            and await datasets.select_dataset(connection, path.stem) is None
        ]

    unknown = await context.database.read(select_unknown)
    for path in unknown:
        await asyncio.to_thread(context.artifacts.remove, path)
    return len(unknown)
