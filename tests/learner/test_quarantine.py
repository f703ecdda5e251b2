"""What is quarantined answers nobody, and comes back by an operator's reason alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from learner import rollout
from learner.assignment import Standing
from learner.context import StageError
from learner.quarantine import quarantine, restore
from learner.release import live_release, roll_back
from storage import release as pointer
from storage.audit import select_audit
from storage.records import AdapterState, CanaryState, CycleState
from tests.learner.trials import Trials, trials

Body = Callable[[Trials], Awaitable[None]]


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    async def go(body: Body) -> None:
        async with trials(tmp_path / "home", model_dir, zero_dir) as world:
            await body(world)

    return lambda body: asyncio.run(go(body))


async def live(world: Trials) -> str:
    return (await live_release(world.context)).adapter


async def put_live(world: Trials) -> str:
    canary = await world.begin(live=await live(world))
    await rollout.promote(world.context, canary, "test", "good")
    return canary.adapter


def test_a_live_version_gives_its_place_to_the_one_before(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        first, second = await put_live(world), await put_live(world)
        done = await quarantine(world.context, second, "operator", "it is rude")
        assert done.state is AdapterState.QUARANTINED and await live(world) == first
        assert world.told[-1] == Standing(first, "base")
        entries = await world.context.database.read(lambda c: select_audit(c, 2))
        assert [(entry.action, entry.subject) for entry in entries] == [("quarantine", second), ("go_live", first)]
        assert entries[0].detail == "it is rude"

    run(body)


def test_a_version_that_is_tried_is_tried_no_longer(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        canary = await world.begin()
        await quarantine(world.context, canary.adapter, "operator", "it is rude")
        assert (await world.canary(canary.adapter)).state is CanaryState.ROLLED_BACK
        assert (await world.cycle(canary.cycle_id)).state is CycleState.REJECTED
        assert await world.state(canary.adapter) is AdapterState.QUARANTINED and world.told[-1].tried == ()

    run(body)


def test_nothing_brings_it_back_but_a_reason(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        name = await put_live(world)
        await quarantine(world.context, name, "operator", "it is rude")
        with pytest.raises(StageError, match="there is no version before 'base'"):
            await roll_back(world.context, "operator")
        with pytest.raises(StageError, match="is quarantined, expected a retired version"):
            await roll_back(world.context, "operator", to=name)
        with pytest.raises(LookupError, match="it is quarantined"):
            await world.context.database.write(lambda c: pointer.go_live(c, name, "anybody", "", 1.0))
        for empty in ("", "  \n"):
            with pytest.raises(StageError, match="expected words that say why"):
                await restore(world.context, name, "operator", empty)
        assert await live(world) == "base"
        restored = await restore(world.context, name, "operator", "the complaint was a mistake")
        assert restored.state is AdapterState.RETIRED and await live(world) == "base"
        assert (await roll_back(world.context, "operator", to=name)).adapter == name

    run(body)


def test_what_never_answered_anybody_does_not_get_past_the_gate_by_a_quarantine(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        _, chosen = await world.candidate()
        await quarantine(world.context, chosen.adapter, "operator", "odd")
        assert (await restore(world.context, chosen.adapter, "operator", "not odd")).state is AdapterState.REJECTED

    run(body)


def test_what_cannot_be_quarantined_stays_as_it_is(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        name = await put_live(world)
        await quarantine(world.context, name, "operator", "rude")
        for subject, reason, told in (
            ("base", "rude", "base is always there"),
            ("r9-00000000", "rude", "there is no adapter 'r9-00000000'"),
            (name, "rude", f"{name} is quarantined already"),
            (name, " ", "expected words"),
        ):
            with pytest.raises(StageError, match=told):
                await quarantine(world.context, subject, "operator", reason)
        with pytest.raises(StageError, match="base is live, expected a quarantined version"):
            await restore(world.context, "base", "operator", "why not")

    run(body)
