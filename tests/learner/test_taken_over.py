"""A cycle that another service began is gone on with, though that one's files are not here."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from learner import cycle as story
from learner.collect import FILE, Collected, collect
from learner.context import Context
from storage import cycles, datasets
from storage.records import Cycle, StageName
from tests.learner.world import Body, Talker


def test_what_only_the_other_service_has_is_collected_anew(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        talkers = [Talker() for _ in range(4)]
        for talker in talkers:
            await context.database.write(talker.talk)
        cycle = await context.database.write(lambda connection: cycles.insert_cycle(connection, "test", "mixed", 1.0))
        collected = await begin_elsewhere(context, cycle)
        late = Talker()
        await context.database.write(late.talk)
        context.settings = replace(context.settings, train=replace(context.settings.train, time_limit_s=0.01))

        ended = await story.run(context, cycle)

        stages = {stage.name: stage.output for stage in await context.database.read(lambda c: cycles.select_stages(c, cycle.id))}
        assert ended.reasons[0].startswith("train: "), "training, which had no time, should have ended it"
        assert ended.watermark == collected.watermark
        [dataset_id] = [output["dataset_id"] for name, output in stages.items() if name is StageName.CURATE and output]
        rows = await context.database.read(lambda c: datasets.select_rows(c, str(dataset_id)))
        assert {row.person_id for row in rows} == {talker.id for talker in talkers}, "who came later is for the next cycle"

    run(body)


async def begin_elsewhere(context: Context, cycle: Cycle) -> Collected:
    """Another service has collected, kept its file to itself, and died."""
    collected = await collect(context, cycle)
    (context.folder(cycle.id) / FILE).unlink()
    kept = msgspec.to_builtins(collected)
    await context.database.write(lambda connection: cycles.start_stage(connection, cycle.id, StageName.COLLECT, 1.0))
    await context.database.write(lambda connection: cycles.finish_stage(connection, cycle.id, StageName.COLLECT, 2.0, kept))
    return collected
