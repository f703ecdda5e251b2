"""`/api/datasets`: what cycles learnt from, in numbers and as files that other programs read."""

from __future__ import annotations

import asyncio
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.rows import read_rows
from service.downloads import TAR, read_out
from service.home_key import operator_key, sha256
from service.problem import Problem
from storage import audit, datasets
from storage.artifacts import ArtifactError
from storage.database import Database
from storage.records import Dataset, DatasetRow

MAX_LISTED = 1000
MIN_PREFIX = 6  # characters of an id that are enough to name it, where no other begins with them


class Contents(Struct, frozen=True):
    """A dataset and what is in it: split → kind → rows, the dropped ones too."""

    dataset: Dataset
    counts: dict[str, dict[str, int]]


@get("/datasets")
async def list_datasets(database: NamedDependency[Database], limit: FromQuery[int] = 50) -> list[Dataset]:
    """Newest first."""
    return await database.read(lambda connection: datasets.select_datasets(connection, min(max(limit, 1), MAX_LISTED)))


@get("/datasets/{dataset_id:str}")
async def show_dataset(dataset_id: FromPath[str], database: NamedDependency[Database]) -> Contents:
    """By its id, or the beginning of it."""

    async def look(connection: AsyncConnection) -> Contents:
        dataset = await _find(connection, dataset_id)
        return Contents(dataset, await datasets.count_rows(connection, dataset.id))

    return await database.read(look)


@get("/datasets/{dataset_id:str}/export", media_type=TAR)
async def export_dataset(
    dataset_id: FromPath[str],
    context: NamedDependency[Context],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
    people: FromQuery[bool] = False,
) -> Stream:
    """A tar of the folder that Hugging Face's `datasets` loads, of people who let others learn from them; with their ids where
    `people` is asked for, else under names that only this dataset uses."""

    async def look(connection: AsyncConnection) -> tuple[Dataset, list[DatasetRow], set[str]]:
        dataset = await _find(connection, dataset_id)
        return (
            dataset,
            await datasets.select_rows(connection, dataset.id),
            await datasets.select_willing(connection, dataset.id),
        )

    dataset, manifest, willing = await context.database.read(look)
    try:
        file = await context.dataset_file(dataset.id)
        tar = await asyncio.to_thread(_pack, context, file, dataset, manifest, willing, people)
    except (ArtifactError, ValueError) as error:
        raise Problem("conflict", str(error)) from error
    detail = "with people's ids" if people else "people under other names"
    at_s = clock()
    await context.database.write(
        lambda connection: audit.insert_audit(connection, actor, "dataset.export", dataset.id, detail, at_s)
    )
    return Stream(read_out(tar), media_type=TAR)


async def _find(connection: AsyncConnection, beginning: str) -> Dataset:
    found = await datasets.select_datasets(connection, 2, beginning) if len(beginning) >= MIN_PREFIX else []
    if not found:
        raise Problem(
            "not_found", f"there is no dataset {beginning!r}: expected its id, or the first {MIN_PREFIX} characters or more"
        )
    if len(found) > 1:
        raise Problem("invalid_request", f"several datasets begin with {beginning!r}: give more of the id")
    return found[0]


def _pack(
    context: Context, file: Path, dataset: Dataset, manifest: Sequence[DatasetRow], willing: set[str], with_ids: bool
) -> BinaryIO:
    """The tar, open for reading and without a name: it is gone once it is closed, whoever leaves."""
    from learner.curate.export import Names, export_folder

    folder = context.artifacts.temporary_dir()
    try:
        names = Names(sha256(operator_key(context.home)).encode(), dataset.id, as_they_are=with_ids)
        export_folder(folder / "dataset", dataset, manifest, read_rows(file), willing, context.tokens.decode, names)
        with tarfile.open(folder / "tar", "w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(path for path in (folder / "dataset").rglob("*") if path.is_file()):
                member = tarfile.TarInfo(path.relative_to(folder / "dataset").as_posix())
                member.size, member.mtime = path.stat().st_size, int(dataset.created_at_s)
                with path.open("rb") as content:
                    tar.addfile(member, content)
        return (folder / "tar").open("rb")
    finally:
        shutil.rmtree(folder)


HANDLERS = [list_datasets, show_dataset, export_dataset]
