"""Stage 3: the training job, and what comes of it under a name that is never used again."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import check_adapter
from learner.context import Context, StageError
from learner.jobs import run_job
from learner.train.spec import ADAPTER, JOB, METRICS, RESULT, ROWS, Job, Probe, Result, Step
from storage import adapters, cycles, datasets
from storage.records import Adapter, AdapterState, Cycle


class Trained(Struct, frozen=True):
    adapter: str
    parent: str
    replaced: str  # what was live when training began
    rows: int
    seconds: float
    final_loss: float | None
    probes: list[Probe]


async def train(context: Context, cycle: Cycle, dataset_id: str, parent: str, replaced: str) -> Trained:
    """Continues the parent on the cycle's dataset, to take the place of `replaced`, which mostly is the parent.

    Raises `JobError` or `StageError`; then there is no adapter.
    """
    await check_proved(context, dataset_id)
    folder = context.folder(cycle.id) / "train"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(await context.dataset_file(dataset_id), folder / ROWS)
    job = Job(str(context.model_dir), parent, str(context.artifacts.adapter_dir(parent)), dataset_id, context.settings.train)
    (folder / JOB).write_bytes(msgspec.json.encode(job))
    (folder / RESULT).unlink(missing_ok=True)
    await run_job("learner.train.job", folder, folder / METRICS, lambda line: _show(context, line), job.settings.time_limit_s)
    result = msgspec.json.decode((folder / RESULT).read_bytes(), type=Result)
    if result.error:
        raise StageError(result.error)
    name = await publish(context, cycle, folder / ADAPTER, dataset_id, parent)
    return Trained(name, parent, replaced, result.rows, result.seconds, result.final_loss, result.probes)


async def check_proved(context: Context, dataset_id: str) -> None:
    """Raises `StageError` where the dataset's manifest does not prove that no row overlaps a frozen eval item."""
    dataset = await context.database.read(lambda connection: datasets.select_dataset(connection, dataset_id))
    proved = dataset.suites if dataset else {}
    if missing := [suite.name for suite in context.suites() if proved.get(suite.name) != suite.sha256]:
        named = f"dataset {dataset_id[:12]} is not proved to be free of the items of {', '.join(missing)}"
        raise StageError(f"{named}: curate it again, it cannot be trained on as it is")


async def publish(context: Context, cycle: Cycle, folder: Path, dataset_id: str | None, parent: str) -> str:
    """Moves a finished adapter to its place for good, as `r<cycle>-<8 hex of its content>`, and records it."""
    card = await asyncio.to_thread(check_adapter, folder, context.model_dir, context.settings.train.rank)
    sha256 = await asyncio.to_thread(context.artifacts.sha256_of, folder)
    name = f"r{cycle.id}-{sha256[:8]}"
    target = context.artifacts.adapter_dir(name)
    if not target.exists():  # it may be there: an earlier try of this cycle was ended right here
        await asyncio.to_thread(context.artifacts.publish, folder, target)
    adapter = Adapter(
        name,
        parent,
        cycle.id,
        dataset_id,
        sha256,
        str(target.relative_to(context.home)),
        AdapterState.CANDIDATE,
        context.clock(),
        base_sha256=card.base_sha256,
    )

    async def insert(connection: AsyncConnection) -> None:
        await cycles.check_running(connection, cycle.id)
        if await adapters.select_adapter(connection, name) is None:
            await adapters.insert_adapter(connection, adapter)

    await context.database.write(insert)
    return name


def _show(context: Context, line: bytes) -> None:
    step = msgspec.json.decode(line, type=Step)
    context.progress.done, context.progress.total = step.step, step.steps
    context.progress.detail = f"loss {step.loss:.3f}, {step.rows_per_s:.1f} rows/s"
