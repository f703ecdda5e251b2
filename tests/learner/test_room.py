"""Nothing is learnt that could not be tried: while three trials are open, cycles wait and say why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from learner import cycle as story
from learner import rollout
from learner.config import ReleaseSettings
from learner.preview import preview
from learner.schedule import Busy, Scheduler
from storage import cycles
from storage.canaries import SLOTS
from storage.records import Cycle, CycleState
from storage.tables import adapters as adapters_table
from tests.learner.trials import STAGED, Trials, trials

Body = Callable[[Trials], Awaitable[None]]
FULL = "r1-00000000, r2-00000000, r3-00000000 are being tried; expected at most 3 at once: promote or roll back one of them first"


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[..., None]:
    async def go(body: Body, settings: ReleaseSettings) -> None:
        async with trials(tmp_path / "home", model_dir, zero_dir, settings) as world:
            for _ in range(SLOTS):
                await world.begin()
            await body(world)

    return lambda body, settings=STAGED: asyncio.run(go(body, settings))


async def taint(world: Trials, name: str) -> None:
    """As if somebody had been forgotten whom this version has learnt from."""
    marked = adapters_table.update().where(adapters_table.c.name == name).values(tainted_at_s=5.0)
    await world.context.database.write(lambda connection: connection.execute(marked))


async def newest(world: Trials) -> Cycle:
    [cycle] = await world.context.database.read(lambda connection: cycles.select_cycles(connection, 1))
    return cycle


def test_an_operator_is_told_at_once_and_no_cycle_begins(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        scheduler = Scheduler(world.context, lease_s=1.0)
        with pytest.raises(Busy) as refused:
            await scheduler.run_now("operator")
        assert str(refused.value) == f"what a cycle learnt could not be tried: {FULL}"
        assert (await newest(world)).id == SLOTS
        await rollout.roll_back(world.context, await world.canary("r2-00000000"), "operator", "enough")
        assert (await scheduler.run_now("operator")).id == SLOTS + 1
        await scheduler.cancel("operator")

    run(body)


@pytest.mark.parametrize(
    ("mode", "method"), [pytest.param("direct", "mixed", id="nothing is tried"), pytest.param("staged", "reward", id="no version")]
)
def test_what_need_not_be_tried_needs_no_room(run: Callable[..., None], mode: str, method: str) -> None:
    async def body(world: Trials) -> None:
        lacking = partial(rollout.lacks_room, mode=mode, method=method)
        assert await world.context.database.read(lacking) == ""
        assert await world.context.database.read(partial(rollout.lacks_room, mode="staged", method="mixed")) == FULL

    run(body)


def test_a_dry_run_says_what_is_in_the_way(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        found = await preview(world.context, "mixed")
        assert not found.would_learn and found.why_not.startswith(f"{FULL}; ")
        assert found.missing[-1] == "a free slot for a trial"
        await rollout.roll_back(world.context, await world.canary("r2-00000000"), "operator", "enough")
        found = await preview(world.context, "mixed")
        assert FULL not in found.why_not and "a free slot for a trial" not in found.missing

    run(body)


def test_a_cycle_that_nobody_could_keep_from_beginning_ends_before_it_learns(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        begun = await world.context.database.write(lambda c: cycles.insert_cycle(c, "forgotten", "mixed", 1.0))
        ended = await story.run(world.context, begun)
        assert (ended.state, ended.reasons) == (CycleState.SKIPPED, (f"what was learnt could not be tried: {FULL}",))
        stages = await world.context.database.read(partial(cycles.select_stages, cycle_id=begun.id))
        assert [(stage.name, stage.output) for stage in stages] == [("collect", None)]

    run(body)


def test_for_who_is_forgotten_a_cycle_begins_and_takes_the_slots_of_what_learnt_from_them(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        await taint(world, "r1-00000000")
        scheduler = Scheduler(world.context, lease_s=1.0)
        assert await scheduler.check() == "forgotten"
        while scheduler.running:
            await asyncio.sleep(0.01)
        ended = await newest(world)
        assert ended.id == SLOTS + 1 and ended.state is CycleState.SKIPPED
        assert ended.reasons == ("no answer has had a vote, comment or correction since the last cycle that learnt",)
        assert [one.adapter for one in world.told[-1].tried] == ["r2-00000000", "r3-00000000"]

    run(body)
