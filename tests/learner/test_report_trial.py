"""A report tells how people tried the candidate, and is made again when that has ended; and which items moved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import rollout
from learner.canary import Fault, Judgement, Step
from learner.evaluate.stage import Evaluated
from learner.gate import Choice, SuiteComparison, Verdict
from learner.quarantine import quarantine
from learner.report.document import Report
from learner.report.write import read_page, read_report, renew_report, write_report
from learner.sequential import Bounds
from storage import cycles
from storage.evaluations import insert_evaluation
from storage.records import CanaryState, Cycle, CycleState, StageName, SuiteRecord
from storage.remains import IDENTIFIER
from storage.suites import ensure_suite
from tests.learner.ended import GAINED, keep
from tests.learner.trials import Trials, trials

Body = Callable[[Trials], Awaitable[None]]
FAULTS = {Fault.SLOW: Bounds(0.01, -0.05, 0.08)}


@pytest.fixture
def run(model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    async def go(body: Body) -> None:
        async with trials(tmp_path / "home", model_dir, zero_dir) as world:
            await body(world)

    return lambda body: asyncio.run(go(body))


def judged(step: Step, delta: float) -> Judgement:
    bounds = Bounds(delta, delta - 0.2, delta + 0.3)
    return Judgement(step, (f"because of {step.value}",), bounds, 12, 15, 40, FAULTS)


async def staged(world: Trials) -> Cycle:
    """A cycle whose candidate passed the gate on a suite of which one item was lost, and is tried."""
    canary = await world.begin()
    cycle, suite, name = await world.cycle(canary.cycle_id), world.context.suites()[0], canary.adapter
    record = SuiteRecord(
        suite.sha256, suite.name, 1, suite.header.kind, len(suite.items), suite.header.margin, suite.header.veto, 1.0
    )
    right = {item.id: 1.0 for item in suite.items}
    scores = {"base": right, name: {**right, suite.items[3].id: 0.0}}

    async def write(connection: AsyncConnection) -> None:
        await ensure_suite(connection, record)
        for version, found in scores.items():
            await insert_evaluation(connection, cycle.id, version, suite.name, suite.sha256, found, 2.0)

    await world.context.database.write(write)
    compared = {suite.name: SuiteComparison(1.0, 0.99, -0.01, -0.012, suite.header.margin, lost=1)}
    outputs = {
        StageName.EVALUATE: Evaluated([name], "base", {suite.name: suite.sha256}, [], 1.0, 0.0125, [name]),
        StageName.GATE: Choice(Verdict.PROMOTE, ("people like it",), compared, GAINED, name, {}),
    }
    await keep(world.context, cycle, dict(outputs))
    return cycle


def kept(world: Trials, cycle: Cycle) -> Report:
    return msgspec.json.decode(world.context.artifacts.report_file(f"cycle-{cycle.id}.json").read_bytes(), type=Report)


def test_every_move_is_told_with_what_was_known_of_it(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        cycle = await staged(world)
        assert cycle.adapter is not None
        await rollout.take(world.context, await world.canary(cycle.adapter), judged(Step.ADVANCE, 0.1))
        await rollout.hold(world.context, await world.canary(cycle.adapter), "operator", "wait")
        report = await read_report(world.context, cycle.id)
        assert report.path is not None and report.path.share == 0.25 and report.path.canary.state is CanaryState.HELD
        advance, hold = report.path.moves
        assert (advance.step, advance.stage, advance.share, advance.actor) == ("advance", 0, 0.05, "canary")
        assert advance.judgement == judged(Step.ADVANCE, 0.1)
        assert (hold.step, hold.stage, hold.share, hold.actor, hold.judgement) == ("hold", 1, 0.25, "operator", None)
        assert report.summary.endswith("It is tried by 25% of the people, and held there: wait.")

    run(body)


@pytest.mark.parametrize(
    ("step", "state", "told"),
    [
        (Step.PROMOTE, CycleState.PROMOTED, "Then it went live: because of promote; served log-probs"),
        (Step.ROLL_BACK, CycleState.REJECTED, "But it was taken back while people tried it: because of roll_back."),
    ],
)
def test_the_report_is_made_again_when_the_trial_has_ended(
    run: Callable[[Body], None], step: Step, state: CycleState, told: str
) -> None:
    async def body(world: Trials) -> None:
        cycle = await staged(world)
        await write_report(world.context, cycle)
        assert kept(world, cycle).cycle.state is CycleState.STAGED
        assert cycle.adapter is not None
        await rollout.take(world.context, await world.canary(cycle.adapter), judged(step, -0.1))
        read = await read_report(world.context, cycle.id)
        assert read.cycle.state is state, "what was written is no longer so"
        await renew_report(world.context, cycle.id)
        now = kept(world, cycle)
        assert now == await read_report(world.context, cycle.id) and now.cycle.state is state and told in now.summary
        assert now.path is not None and [move.step for move in now.path.moves] == [step.value]
        assert now.path.share == 0.05 and now.path.canary.ended_at_s is not None
        page = await read_page(world.context, cycle.id)
        assert page == world.context.artifacts.report_file(f"cycle-{cycle.id}.html").read_text()
        for said in ("Tried by people", told, "-0.300", "+0.200", "slow", "+0.080", step.value.replace("_", " ")):
            assert said in page, said
        assert IDENTIFIER.findall(page.encode()) == [] and page.count("<svg") == 2  # suites, trial

    run(body)


def test_a_trial_that_was_ended_by_another_move_is_told_with_the_people_it_had(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        cycle = await staged(world)
        assert cycle.adapter is not None
        await rollout.take(world.context, await world.canary(cycle.adapter), judged(Step.ADVANCE, 0.1))
        await quarantine(world.context, cycle.adapter, "operator", "rude")
        report = await read_report(world.context, cycle.id)
        assert report.path is not None and report.path.share == 0.25
        assert report.summary.endswith("But it was taken back while people tried it: rude.")

    run(body)


def test_a_report_that_was_not_written_here_is_not_made_here(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        cycle = await staged(world)
        assert cycle.adapter is not None
        await rollout.take(world.context, await world.canary(cycle.adapter), judged(Step.ROLL_BACK, -0.1))
        await renew_report(world.context, cycle.id)
        assert not world.context.artifacts.report_file(f"cycle-{cycle.id}.json").exists()

    run(body)


def test_items_that_turned_are_told_with_their_topic(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        cycle, suite = await staged(world), world.context.suites()[0]
        [change] = (await read_report(world.context, cycle.id)).suites
        [move] = change.moves
        assert (move.item, move.topic, move.before, move.after) == (suite.items[3].id, suite.items[3].topic, 1.0, 0.0)
        assert (change.won, change.lost, change.advisory) == (0, 1, False)
        assert suite.items[3].id in await read_page(world.context, cycle.id)

    run(body)


def test_outputs_of_an_older_service_make_a_report(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        cycle = await staged(world)
        again = await world.context.database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", 1.0))
        older: dict[StageName, dict[str, object]] = {
            StageName.TRAIN: msgspec.to_builtins(await _trained(world, cycle)),
            StageName.EVALUATE: {"candidates": [cycle.adapter], "live": "base", "sha256": {}, "votes": [], "seconds": 1.0},
            StageName.GATE: {
                "verdict": "reject",
                "reasons": ["worse"],
                "suites": {"facts": {"live": 0.5, "candidate": 0.4, "delta": -0.1, "lower_bound": -0.2}},
                "votes": None,
                "adapter": cycle.adapter,
                "others": {},
            },
        }

        async def write(connection: AsyncConnection) -> None:
            for name, output in older.items():
                await cycles.start_stage(connection, again.id, name, 1.0)
                await cycles.finish_stage(connection, again.id, name, 2.0, output)

        await world.context.database.write(write)
        report = await read_report(world.context, again.id)
        assert report.summary.startswith(f"{cycle.adapter} was refused: worse.") and report.suites == []
        assert "was refused" in await read_page(world.context, again.id)

    run(body)


async def _trained(world: Trials, cycle: Cycle) -> object:
    stages = await world.context.database.read(lambda c: cycles.select_stages(c, cycle.id))
    return next(stage.output for stage in stages if stage.name is StageName.TRAIN)
