"""Adapters that were made elsewhere: taken in as candidates, and judged as those that cycles make.

One that is taken in has no cycle and no dataset: whom it learnt from is not known here. It goes live only by a cycle of its
own, whose first stages are replaced by what is known already: the votes are the newest dataset's held-out ones, and what was
to be trained is there. The rest is any cycle's: evaluate, gate, release.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.adapter import BASE, Card, check_adapter
from learner.collect import Collected
from learner.context import Context, StageError
from learner.curate.dataset import Curated
from learner.jobs import run_job
from learner.train.spec import JOB, METRICS, RESULT, Probe, Proved, Proving
from learner.train.stage import Candidate, Trained
from storage import adapters, audit, cycles, datasets
from storage.records import Adapter, AdapterState, Dataset, StageName

PREFIX = "imported-"  # of the names of such adapters, before 8 hex of their content
METHOD = "import"  # of the cycles that judge them
PROVING = "learner.train.proving"
TEXTS = (
    "The capital of France is Paris, which lies on the river Seine.",
    "To bake bread you need flour, water, salt and yeast, and some patience.",
    "I am sorry to hear that you are not feeling well today. What can I do for you?",
    "def add(first: int, second: int) -> int:\n    return first + second",
)  # by which a served adapter is told from the live version: any plain text does
Done = Mapping[StageName, Struct]


async def take_in(context: Context, folder: Path, actor: str) -> Adapter:
    """Publishes an adapter's folder, which moves to its place, and records it as a candidate. One that fails is not recorded.

    Raises `AdapterError` for one that this base cannot serve, and `StageError` for one that is, or once was, here.
    """
    settings = context.settings.train
    card = await asyncio.to_thread(check_adapter, folder, context.model_dir, settings.rank, settings.max_change)
    sha256 = await asyncio.to_thread(context.artifacts.sha256_of, folder)
    target = context.artifacts.adapter_dir(f"{PREFIX}{sha256[:8]}")
    await context.database.read(lambda connection: _check_new(connection, sha256))
    if not target.exists():  # it may be there: an earlier try was ended right here, before it was recorded
        await asyncio.to_thread(context.artifacts.publish, folder, target)

    async def insert(connection: AsyncConnection) -> Adapter:
        await _check_new(connection, sha256)
        made = await _record(connection, context, card, target, sha256)
        await audit.insert_audit(connection, actor, "adapter.import", made.name, f"descends from {card.parent}", made.created_at_s)
        return made

    return await context.database.write(insert)


async def prepare(context: Context, name: str) -> Done:
    """What stands for the first stages of a cycle that judges an adapter which was taken in: probes are made for it now.

    Raises `StageError` for one that was not taken in or is gone, and where there is no dataset with votes to judge it by;
    `JobError` and `AdapterError` where it cannot be proved.
    """
    live = (await release.live_release(context)).adapter
    adapter, dataset, seen = await context.database.read(lambda connection: _select(connection, name))
    probes = await _prove(context, live, adapter)
    candidate = Candidate(name, "", 0, 0.0, None, {}, "")
    return {
        StageName.COLLECT: Collected(seen, 0, 0),
        StageName.CURATE: Curated(dataset.id, 0, 0, 0, {}),
        StageName.TRAIN: Trained([candidate], adapter.parent or BASE, live, live, {name: probes}, (f"{name} was made elsewhere",)),
    }


async def _check_new(connection: AsyncConnection, sha256: str) -> None:
    same = [one for one in await adapters.select_adapters(connection) if one.sha256 == sha256]
    if same:  # an erased one too: it may have learnt from somebody who is forgotten
        raise StageError(f"this adapter is here already: {same[0].name}, {same[0].state.value}")


async def _record(connection: AsyncConnection, context: Context, card: Card, target: Path, sha256: str) -> Adapter:
    known = await adapters.select_adapter(connection, card.parent) if card.parent else None
    made = Adapter(
        target.name,
        known.name if known else BASE,
        None,
        None,
        sha256,
        str(target.relative_to(context.home)),
        AdapterState.CANDIDATE,
        context.clock(),
        base_sha256=card.base_sha256,
    )
    await adapters.insert_adapter(connection, made)
    return made


async def _select(connection: AsyncConnection, name: str) -> tuple[Adapter, Dataset, int]:
    """The adapter, the dataset it is judged by, and the watermark, which stays as it is: it learns from no evidence."""
    found = await release.find_adapter(connection, name)
    if not name.startswith(PREFIX) or found.state is not AdapterState.CANDIDATE:
        raise StageError(f"{name} is {found.state.value}, expected a candidate that was imported")
    kept = await datasets.select_kept(connection, 1)
    if not kept:
        raise StageError("there are no held-out votes yet to judge it by: they come with the first cycle that has a dataset")
    return found, kept[0], await cycles.last_watermark(connection)


async def _prove(context: Context, live: str, adapter: Adapter) -> list[Probe]:
    """Texts under the live version and under this adapter, by a job of its own."""
    parent_dir, candidate_dir = await release.folder_of(context, live), await release.fetch(context, adapter)
    settings, folder = context.settings.train, context.artifacts.temporary_dir()
    try:
        texts = [context.tokens.text(text) for text in TEXTS]
        dirs = str(context.model_dir), str(parent_dir), str(candidate_dir)
        job = Proving(*dirs, texts=texts, precision=settings.precision, threads=settings.threads)
        (folder / JOB).write_bytes(msgspec.json.encode(job))
        await run_job(PROVING, folder, folder / METRICS, lambda line: None, settings.time_limit_s, settings.memory_limit_mb)
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=Proved).probes
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)
