"""A candidate on its way: tried by ever more people, promoted, taken back, held, or waiting for an operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from learner import rollout
from learner.assignment import Standing, Tried
from learner.canary import Judgement, Step
from learner.config import ReleaseSettings
from learner.context import StageError
from learner.rebuild import erase_tainted
from learner.release import live_release, roll_back, served_adapters
from storage import canaries, cycles
from storage.audit import select_audit
from storage.records import AdapterState, CanaryState, CycleState
from storage.tables import adapters as adapters_table
from tests.learner.trials import STAGED, Trials, trials

Body = Callable[[Trials], Awaitable[None]]


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[..., None]:
    async def go(body: Body, settings: ReleaseSettings) -> None:
        async with trials(tmp_path / "home", model_dir, zero_dir, settings) as world:
            await body(world)

    return lambda body, settings=STAGED: asyncio.run(go(body, settings))


def judged(step: Step) -> Judgement:
    return Judgement(step, (f"because of {step.value}",), None, 0)


async def live(world: Trials) -> str:
    return (await live_release(world.context)).adapter


def test_a_candidate_is_tried_by_a_share_and_served_and_nothing_else_changes(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        canary = await world.begin()
        assert (canary.state, canary.stage, canary.against) == (CanaryState.RUNNING, 0, "base")
        assert await live(world) == "base" and await world.state(canary.adapter) is AdapterState.CANARY
        assert world.told[-1] == Standing("base", None, (Tried(canary.adapter, canary.slot, 0.05),))
        assert canary.adapter in [adapter.name for adapter in await served_adapters(world.context)]
        assert canary.adapter in await world.context.engine.models()

    run(body)


def test_beginning_again_after_a_crash_begins_nothing_new(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        cycle, chosen = await world.candidate()
        first = await rollout.begin(world.context, cycle, chosen)
        again = await rollout.begin(world.context, cycle, chosen)
        assert first.canary == again.canary is not None
        assert len(await world.context.database.read(canaries.select_open)) == 1

    run(body)


def test_in_direct_mode_a_candidate_is_live_at_once(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        cycle, chosen = await world.candidate()
        begun = await rollout.begin(world.context, cycle, chosen)
        assert begun.canary is None and await live(world) == chosen.adapter

    run(body, ReleaseSettings())


def test_three_are_tried_at_once_with_different_people_and_no_more(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        tried = [await world.begin() for _ in range(3)]
        assert {canary.slot for canary in tried} == {0, 1, 2}
        cycle, chosen = await world.candidate()
        with pytest.raises(StageError, match="r1-00000000, r2-00000000, r3-00000000 are being tried; expected at most 3"):
            await rollout.begin(world.context, cycle, chosen)
        assert await world.state(chosen.adapter) is AdapterState.CANDIDATE
        await rollout.roll_back(world.context, tried[1], "test", "worse")
        await rollout.begin(world.context, cycle, chosen)
        assert (await world.canary(chosen.adapter)).slot == tried[1].slot

    run(body)


def test_a_candidate_of_another_live_version_is_not_tried(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        cycle, chosen = await world.candidate()
        with pytest.raises(StageError, match="made to replace r0-00000000, but base is live now"):
            await rollout.begin(world.context, cycle, replace(chosen, replaces="r0-00000000"))

    run(body)


def test_an_advance_gives_the_next_share(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        canary = await world.begin()
        await rollout.take(world.context, canary, judged(Step.ADVANCE))
        now = await world.canary(canary.adapter)
        assert (now.stage, now.stage_started_at_s, now.reason) == (1, 9.0, "because of advance")
        assert world.told[-1].tried == (Tried(canary.adapter, canary.slot, 0.25),)

    run(body)


def test_a_promotion_ends_its_trial_and_those_against_what_it_replaces(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        first, second = await world.begin(), await world.begin()
        await rollout.take(world.context, first, judged(Step.PROMOTE))
        assert await live(world) == first.adapter and world.told[-1] == Standing(first.adapter, "base")
        assert (await world.canary(first.adapter)).state is CanaryState.PROMOTED
        assert await world.state(first.adapter) is AdapterState.LIVE
        promoted = await world.cycle(first.cycle_id)
        assert promoted.state is CycleState.PROMOTED and promoted.reasons[1].startswith("because of promote; served")
        ended = await world.canary(second.adapter)
        assert (ended.state, await world.state(second.adapter)) == (CanaryState.ENDED, AdapterState.REJECTED)
        assert ended.reason == f"{first.adapter} went live and replaced base, which it was tried against"
        assert (await world.cycle(second.cycle_id)).state is CycleState.REJECTED

    run(body)


def test_what_is_worse_is_taken_back_and_quarantined(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        canary = await world.begin()
        await rollout.take(world.context, canary, judged(Step.ROLL_BACK))
        assert await live(world) == "base" and world.told[-1] == Standing("base", None)
        assert (await world.canary(canary.adapter)).state is CanaryState.ROLLED_BACK
        assert await world.state(canary.adapter) is AdapterState.QUARANTINED
        cycle = await world.cycle(canary.cycle_id)
        assert (cycle.state, cycle.reasons) == (CycleState.REJECTED, ("people like it", "because of roll_back"))
        [entry] = await world.context.database.read(lambda c: select_audit(c, 1))
        assert (entry.actor, entry.action, entry.subject) == ("canary", "canary.rolled_back", canary.adapter)

    run(body)


def test_what_is_held_keeps_its_people_and_only_can_be_taken_back_by_itself(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        canary = await world.begin()
        await rollout.take(world.context, canary, judged(Step.HOLD))
        held = await world.canary(canary.adapter)
        assert held.state is CanaryState.HELD and world.told[-1].tried[0].share == 0.05
        for step in (Step.ADVANCE, Step.PROMOTE, Step.HOLD, Step.WAIT):
            await rollout.take(world.context, held, judged(step))
            assert await world.canary(canary.adapter) == held
        await rollout.resume(world.context, held, "operator", "go on")
        resumed = await world.canary(canary.adapter)
        assert (resumed.state, resumed.resumed_at_s) == (CanaryState.RUNNING, 9.0)
        await rollout.hold(world.context, resumed, "operator", "wait")
        await rollout.take(world.context, await world.canary(canary.adapter), judged(Step.ROLL_BACK))
        assert await world.state(canary.adapter) is AdapterState.QUARANTINED

    run(body)


def test_a_step_that_was_decided_before_somebody_elses_changes_nothing(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        seen = await world.begin()
        await rollout.hold(world.context, seen, "operator", "wait")
        with pytest.raises(StageError, match="r1-00000000 is no longer running in stage 0"):
            await rollout.advance(world.context, seen, "enough people")
        await rollout.promote(world.context, await world.canary(seen.adapter), "operator", "good")
        with pytest.raises(StageError, match="no longer running"):
            await rollout.roll_back(world.context, seen, "canary", "worse")
        assert await live(world) == seen.adapter
        kept = await world.context.database.read(lambda c: canaries.select_steps(c, seen.id))
        assert [(step.step, step.actor) for step in kept] == [("hold", "operator"), ("promote", "operator")]

    run(body)


def test_a_candidate_waits_for_approval_with_nobody_answered_by_it(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        waits, declined = await world.begin(), await world.begin()
        assert waits.state is CanaryState.WAITING_APPROVAL
        assert [one.share for one in world.told[-1].tried] == [0.0, 0.0]
        await rollout.roll_back(world.context, declined, "operator", "no")
        assert (await world.canary(declined.adapter)).state is CanaryState.ENDED
        assert await world.state(declined.adapter) is AdapterState.REJECTED
        await rollout.promote(world.context, waits, "operator", "yes")
        assert await live(world) == waits.adapter

    run(body, ReleaseSettings(mode="approve"))


def test_a_cycle_ends_as_its_trial_did_whichever_ends_first(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        cycle, chosen = await world.candidate()
        await rollout.begin(world.context, cycle, chosen)
        await rollout.roll_back(world.context, await world.canary(chosen.adapter), "operator", "no")
        assert (await world.cycle(cycle.id)).state is CycleState.RUNNING
        await world.context.database.write(lambda c: cycles.update_cycle(c, cycle.id, state=CycleState.STAGED))
        await world.context.database.write(lambda c: canaries.settle_cycle(c, cycle.id))
        assert (await world.cycle(cycle.id)).state is CycleState.REJECTED

    run(body)


def test_a_version_that_learnt_from_somebody_who_is_forgotten_is_no_longer_tried(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        tainted, clean = await world.begin(), await world.begin()
        marked = adapters_table.update().where(adapters_table.c.name == tainted.adapter)
        await world.context.database.write(lambda c: c.execute(marked.values(tainted_at_s=5.0)))
        await erase_tainted(world.context, None)
        assert (await world.canary(tainted.adapter)).state is CanaryState.ENDED
        assert await world.state(tainted.adapter) is AdapterState.ERASED
        assert [one.adapter for one in world.told[-1].tried] == [clean.adapter]

    run(body)


def test_a_rollback_goes_to_any_retired_version_and_to_no_other(run: Callable[..., None]) -> None:
    async def body(world: Trials) -> None:
        first = await world.begin()
        await rollout.promote(world.context, first, "test", "good")
        second = await world.begin(live=first.adapter)
        await rollout.promote(world.context, second, "test", "better")
        tried = await world.begin(live=second.adapter)
        for name, told in (
            (tried.adapter, "is canary, expected a retired version"),
            (second.adapter, "is live, expected a retired version"),
            ("r9-00000000", "there is no adapter 'r9-00000000'"),
        ):
            with pytest.raises(StageError, match=told):
                await roll_back(world.context, "operator", to=name)
        assert (await roll_back(world.context, "operator", to="base")).adapter == "base" == await live(world)
        assert (await world.canary(tried.adapter)).state is CanaryState.RUNNING
        (world.context.artifacts.adapter_dir(first.adapter) / "mark").write_text("spoilt")
        with pytest.raises(Exception, match=first.adapter):
            await roll_back(world.context, "operator", to=first.adapter)
        assert await live(world) == "base"

    run(body)
