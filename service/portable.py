"""`/api/adapters`, out and in: a version as a folder that PEFT and vLLM load, one that was made elsewhere, and its judgement."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from learner import adopt, release
from learner.context import Context
from learner.jobs import JobError
from learner.portable import pack, unpack
from learner.report.model_card import write_card
from learner.schedule import Scheduler
from service.data import note
from service.downloads import TAR, read_out
from service.lineage import known_adapter
from service.problem import Problem
from service.uploads import save
from storage.records import Adapter, Cycle

MAX_ADAPTER_BYTES = 4_000_000_000


@get("/adapters/{name:str}/export", media_type=TAR)
async def export_adapter(
    name: FromPath[str], context: NamedDependency[Context], actor: NamedDependency[str], clock: NamedDependency[Callable[[], float]]
) -> Stream:
    """A tar of the version's folder, with a model card: PEFT's and vLLM's own layout. The same version gives the same bytes."""
    found = await context.database.read(lambda connection: known_adapter(connection, name))
    folder = await release.fetch(context, found)
    tar = await asyncio.to_thread(_pack, context, folder, await write_card(context, name), found.created_at_s)
    await note(context.database, actor, clock(), "adapter.export", name, found.sha256)
    return Stream(read_out(tar), media_type=TAR, headers={"Content-Disposition": f'attachment; filename="{name}.tar"'})


@post("/adapters/import", status_code=201, request_max_body_size=MAX_ADAPTER_BYTES)
async def import_adapter(
    request: Request[Any, Any, Any], context: NamedDependency[Context], actor: NamedDependency[str]
) -> Adapter:
    """Takes a tar, as the export gives it, as the body, up to 4 GB. What it holds is checked as any adapter is (base, rank,
    layers, finite values), and becomes a candidate: to be asked, evaluated, and judged."""
    work = await asyncio.to_thread(context.artifacts.temporary_dir)
    try:
        await save(request.stream(), work / "tar")
        (folder := work / "adapter").mkdir()
        await asyncio.to_thread(unpack, work / "tar", folder)
        return await adopt.take_in(context, folder, actor)
    finally:
        await asyncio.to_thread(shutil.rmtree, work)


@post("/adapters/{name:str}/judge", status_code=202)
async def judge_adapter(name: FromPath[str], scheduler: NamedDependency[Scheduler], actor: NamedDependency[str]) -> Cycle:
    """Begins a cycle that evaluates an imported candidate, has the gate decide, and releases it as the settings say. Answers
    once there is proof by which the engine can be seen to serve it, which takes a while."""
    try:
        return await scheduler.judge_imported(name, actor)
    except JobError as error:
        raise Problem("conflict", f"{name} cannot be proved: {error}") from error


def _pack(context: Context, folder: Path, readme: str, at_s: float) -> BinaryIO:
    """The tar, open for reading and without a name: it is gone once it is closed, whoever leaves."""
    work = context.artifacts.temporary_dir()
    try:
        with (work / "tar").open("wb") as tar:
            pack(folder, readme, at_s, tar)
        return (work / "tar").open("rb")
    finally:
        shutil.rmtree(work)


HANDLERS = [export_adapter, import_adapter, judge_adapter]
