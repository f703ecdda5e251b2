"""An adapter that was made elsewhere is judged by a cycle of its own: the votes are the newest dataset's, the gate is the gate."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import adopt
from learner.context import Context
from learner.engine import EngineError
from learner.evaluate.stage import Evaluated
from learner.rows import write_rows
from learner.schedule import Scheduler
from learner.train.stage import Trained
from service.bench.random_adapter import make_random_adapter
from storage import adapters, cycles, datasets
from storage.records import AdapterState, CycleState, Dataset, StageName
from tests.learner.tiny import RANK, thumbs
from tests.learner.world import SilentEngine, learner


class AbsentEngine(SilentEngine):
    """Loads what it is told to, and is gone when it is asked to score."""

    async def score_each(self, model: str, token_ids: Sequence[int], priority: int = 100) -> dict[str, list[float]]:
        raise EngineError(503, "nobody is there")


async def keep_dataset(context: Context) -> None:
    """Of an earlier cycle, which has ended."""
    file = context.artifacts.dataset_file("d" * 64)
    write_rows(file, thumbs(4))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()

    async def insert(connection: AsyncConnection) -> None:
        cycle = await cycles.insert_cycle(connection, "test", "mixed", 1.0)
        await cycles.update_cycle(connection, cycle.id, state=CycleState.REJECTED, ended_at_s=2.0, watermark=7)
        made = Dataset("d" * 64, cycle.id, str(file.relative_to(context.home)), 4, 2.0, {}, sha256)
        await datasets.insert_dataset(connection, made, [])

    await context.database.write(insert)


def test_its_cycle_begins_at_the_evaluation_and_it_may_be_judged_again(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    async def body() -> None:
        (home := tmp_path / "home").mkdir()
        async with learner(home, model_dir, zero_dir) as context:
            context.engine = AbsentEngine()  # type: ignore[assignment]
            await keep_dataset(context)
            folder = make_random_adapter(model_dir, tmp_path / "made", RANK, seed=3, scale=0.02)
            shutil.copytree(folder, incoming := tmp_path / "incoming")
            made = await adopt.take_in(context, incoming, "operator")
            scheduler = Scheduler(context, lease_s=1.0)
            begun = await scheduler.judge_imported(made.name, "operator")
            assert (begun.method, begun.state) == ("import", CycleState.RUNNING)
            for _ in range(200):
                ended = await context.database.read(lambda connection: cycles.select_cycle(connection, begun.id))
                if ended is not None and ended.state is not CycleState.RUNNING and not scheduler.running:
                    break
                await asyncio.sleep(0.1)
            assert ended is not None and ended.state is CycleState.INCONCLUSIVE, "its engine cannot score: that is no verdict"
            stages = {one.name: one.output for one in await context.database.read(lambda c: cycles.select_stages(c, begun.id))}
            assert list(stages) == [StageName.COLLECT, StageName.CURATE, StageName.TRAIN, StageName.EVALUATE, StageName.GATE]
            trained = msgspec.convert(stages[StageName.TRAIN], Trained)
            assert (trained.parent, trained.against, trained.replaced) == ("base", "base", "base")
            assert len(trained.probes[made.name]) == len(adopt.TEXTS)
            assert msgspec.convert(stages[StageName.EVALUATE], Evaluated).failure
            found = await context.database.read(lambda connection: adapters.select_adapter(connection, made.name))
            assert found is not None and found.state is AdapterState.CANDIDATE
            assert await context.database.read(cycles.last_watermark) == 7, "no evidence is used up"

    asyncio.run(body())
