"""SIGKILL before and after every commit of a release: one version is live, and a canary goes on or has ended."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release, rollout
from learner.context import StageError
from learner.quarantine import quarantine
from storage import adapters, canaries
from storage.records import Adapter, AdapterState, Canary, CanaryState
from tests.learner.steps import FIRST, SECOND, STEPS, prepare, take_step
from tests.learner.trials import Trials, trials

Body = Callable[[Trials], Awaitable[None]]
LIMIT_S = 120
FORKS = multiprocessing.get_context("forkserver")  # imports once for all the processes that are killed
FORKS.set_forkserver_preload(["tests.learner.steps"])
BECOMES = {
    CanaryState.PROMOTED: AdapterState.LIVE,
    CanaryState.ROLLED_BACK: AdapterState.QUARANTINED,
    CanaryState.ENDED: AdapterState.REJECTED,
}
COMMITTED = {  # what is live, and what became of the two versions, once the step is done
    "advance": (FIRST, AdapterState.LIVE, CanaryState.RUNNING),
    "hold": (FIRST, AdapterState.LIVE, CanaryState.HELD),
    "resume": (FIRST, AdapterState.LIVE, CanaryState.RUNNING),
    "promote": (SECOND, AdapterState.RETIRED, CanaryState.PROMOTED),
    "roll_back_trial": (FIRST, AdapterState.LIVE, CanaryState.ROLLED_BACK),
    "roll_back": ("base", AdapterState.RETIRED, CanaryState.RUNNING),
    "quarantine": ("base", AdapterState.QUARANTINED, CanaryState.RUNNING),
    "roll_back_and_quarantine": ("base", AdapterState.QUARANTINED, CanaryState.RUNNING),
    "restore": ("base", AdapterState.RETIRED, CanaryState.RUNNING),
}


@pytest.fixture(scope="module")
def prepared(model_dir: Path, zero_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared") / "home"

    async def body() -> None:
        async with trials(home, model_dir, zero_dir) as world:
            await prepare(world)

    asyncio.run(body())
    return home


async def assert_sound(world: Trials) -> str:
    """The name of the one live version; every trial goes on, or has ended together with its version's hopes."""

    async def look(connection: AsyncConnection) -> tuple[list[Adapter], list[Canary]]:
        return await adapters.select_adapters(connection), await canaries.select_canaries(connection, 9)

    found, tried = await world.context.database.read(look)
    live = (await release.live_release(world.context)).adapter
    assert [adapter.name for adapter in found if adapter.state is AdapterState.LIVE] == [live]
    for canary in tried:
        state = next(adapter.state for adapter in found if adapter.name == canary.adapter)
        assert (state is AdapterState.CANARY) == (canary.state in canaries.OPEN)
        assert (canary.ended_at_s is None) == (canary.state in canaries.OPEN)
    await release.tell(world.context)
    assert world.told[-1].live == live
    return live


async def finish(world: Trials) -> str:
    """The canary that is left goes live or, where it no longer fits, is taken back: the release was not stuck."""
    canary = await world.canary(SECOND)
    if canary.state in canaries.OPEN:
        try:
            await rollout.promote(world.context, canary, "test", "better")
        except StageError:
            await rollout.roll_back(world.context, canary, "test", "made to replace another version")
    ended = await world.canary(SECOND)
    assert await world.state(SECOND) is BECOMES[ended.state]
    return await assert_sound(world)


@pytest.fixture
def kill(prepared: Path, model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[str, str, Body], None]:
    """Takes a step that is killed at a place; then the body looks at what it left."""

    def go(step: str, place: str, body: Body) -> None:
        home = shutil.copytree(prepared, tmp_path / "home")
        process = FORKS.Process(target=take_step, args=(home, model_dir, zero_dir, step, place))
        process.start()
        process.join(LIMIT_S)
        assert process.exitcode == -signal.SIGKILL

        async def look() -> None:
            async with trials(home, model_dir, zero_dir) as world:
                await body(world)

        asyncio.run(look())

    return go


@pytest.mark.parametrize(("step", "place"), [(step, place) for step, (_, places) in STEPS.items() for place in places])
def test_a_kill_leaves_one_live_version(step: str, place: str, kill: Callable[[str, str, Body], None]) -> None:
    async def body(world: Trials) -> None:
        live = await assert_sound(world)
        if place.endswith("committed"):
            states = live, await world.state(FIRST), (await world.canary(SECOND)).state
            assert states == COMMITTED[step]
        elif step != "begin":
            before = COMMITTED["roll_back"] if step == "roll_back_and_quarantine" else (FIRST, AdapterState.LIVE)
            assert (live, await world.state(FIRST)) == before[:2]
            assert (await world.canary(SECOND)).state in canaries.OPEN
        await finish(world)

    kill(step, place, body)


@pytest.mark.parametrize(
    ("step", "place"), [(step, place) for step in ("quarantine", "roll_back_and_quarantine") for place in STEPS[step][1]]
)
def test_a_quarantine_of_the_live_version_that_was_killed_is_finished_by_doing_it_again(
    step: str, place: str, kill: Callable[[str, str, Body], None]
) -> None:
    async def body(world: Trials) -> None:
        if await world.state(FIRST) is not AdapterState.QUARANTINED:
            await quarantine(world.context, FIRST, "operator", "rude")
        assert await assert_sound(world) == "base"
        assert await world.state(FIRST) is AdapterState.QUARANTINED
        with pytest.raises(StageError, match="there is no version before 'base'"):
            await release.roll_back(world.context, "operator")
        assert world.told[-1].previous is None

    kill(step, place, body)
