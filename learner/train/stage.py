"""Stage 3: the training jobs, and what comes of them under names that are never used again."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import check_adapter
from learner.context import Context, StageError
from learner.rebuild import Basis
from learner.train.candidates import Finished, Learner
from learner.train.rewards import publish_reward
from learner.train.spec import ADAPTER, REWARD, Probe
from storage import adapters, cycles, datasets
from storage.records import Adapter, AdapterState, Cycle

VARIANTS = "variants"  # below the stage's folder: one for each variant of the settings


class Candidate(Struct, frozen=True):
    """A version that was made, by which variant of the settings, and how training went."""

    adapter: str
    variant: str  # empty for the settings as they are
    rows: int
    seconds: float
    final_loss: float | None
    measures: dict[str, float]
    stopped: str  # why training ended before its last step; empty where it did not


class Trained(Struct, frozen=True):
    """What was made. There are no candidates where the method makes no version of the model, but something else."""

    candidates: list[Candidate]  # that of the settings as they are comes first; no two are the same
    parent: str  # whom they descend from
    against: str  # whom they are judged against
    replaced: str  # what was live when training began
    probes: dict[str, list[Probe]]  # of each candidate
    notes: tuple[str, ...] = ()  # why this is a rebuild, which variants were left out, what else was made
    measures: dict[str, float] = {}  # of what is no candidate


async def train(context: Context, cycle: Cycle, dataset_id: str, basis: Basis) -> Trained:
    """Teaches the basis's parent the cycle's dataset: as the settings say, and as their variants do while time allows.

    Raises `JobError` or `StageError`, in rounds also `EngineError`; then nothing is made. What a variant meets is noted.
    """
    await check_proved(context, dataset_id)
    learner = Learner(context, cycle, dataset_id, await context.dataset_file(dataset_id), basis.parent)
    folder, variants = context.folder(cycle.id) / "train", context.settings.train.candidates
    settings = replace(context.settings.train, method=cycle.method, candidates=())
    own = await learner.learn(folder, settings)
    if not (own.folder / ADAPTER).is_dir():
        return await _keep_reward(context, cycle, basis, own)
    others, left_out = await learner.learn_variants(folder / VARIANTS, variants, settings, own.result.seconds)
    made: dict[str, Finished] = {}
    for finished in (own, *others):
        made.setdefault(await publish(context, cycle, finished.folder / ADAPTER, dataset_id, basis.parent), finished)
    return Trained(
        candidates=[_candidate(name, finished) for name, finished in made.items()],
        parent=basis.parent,
        against=basis.against,
        replaced=basis.live,
        probes={name: finished.result.probes for name, finished in made.items()},
        notes=(*([basis.why] if basis.why else []), *left_out),
    )


def _candidate(name: str, finished: Finished) -> Candidate:
    result = finished.result
    return Candidate(name, finished.variant, result.rows, result.seconds, result.final_loss, result.measures, result.stopped)


async def _keep_reward(context: Context, cycle: Cycle, basis: Basis, own: Finished) -> Trained:
    name, measures = await publish_reward(context, cycle, own.folder / REWARD), own.result.measures
    told = ", ".join(f"{measure} {value:.4g}" for measure, value in measures.items())
    return Trained([], basis.parent, basis.against, basis.live, {}, (f"reward model {name}: {told or 'no measures'}",), measures)


async def check_proved(context: Context, dataset_id: str) -> None:
    """Raises `StageError` where the dataset's manifest does not prove that no row overlaps a frozen eval item."""
    dataset = await context.database.read(lambda connection: datasets.select_dataset(connection, dataset_id))
    proved = dataset.suites if dataset else {}
    if missing := [suite.name for suite in context.suites() if proved.get(suite.name) != suite.sha256]:
        named = f"dataset {dataset_id[:12]} is not proved to be free of the items of {', '.join(missing)}"
        raise StageError(f"{named}: curate it again, it cannot be trained on as it is")


async def publish(context: Context, cycle: Cycle, folder: Path, dataset_id: str | None, parent: str) -> str:
    """Brings a finished adapter to its place for good, as `r<cycle>-<8 hex of its content>`, and records it.

    The folder stays: a cycle that is cut off here finds its training done.
    """
    settings = context.settings.train
    card = await asyncio.to_thread(check_adapter, folder, context.model_dir, settings.rank, settings.max_change)
    sha256 = await asyncio.to_thread(context.artifacts.sha256_of, folder)
    name = f"r{cycle.id}-{sha256[:8]}"
    target = context.artifacts.adapter_dir(name)
    if not target.exists():  # it may be there: an earlier try of this cycle was ended right here
        copy = context.artifacts.temporary_dir() / name
        await asyncio.to_thread(shutil.copytree, folder, copy)
        await asyncio.to_thread(context.artifacts.publish, copy, target)
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
