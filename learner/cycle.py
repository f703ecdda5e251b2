"""One update cycle, the whole story: collect → curate → train → evaluate → gate → release.

Each stage's output is in the database before the next begins, so a cycle that was cut off goes on where it was. Only the
gate's `promote` leads to the release, which may have people try the candidate first; whatever else happens, the version that
is live stays live, unless it learnt from somebody who is forgotten: then the cycle is a rebuild, and in any case another
version takes its place. Training may make several candidates, of which the gate chooses one, or none, like a reward model:
then there is nothing to judge.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import rebuild, release, rollout
from learner.adapter import AdapterError
from learner.collect import FILE, Collected, collect, collect_again
from learner.context import Context, NothingToLearn, Progress, StageError
from learner.curate.dataset import Curated, curate
from learner.curate.presidio import PresidioMissing
from learner.engine import EngineError
from learner.evaluate.stage import Evaluated, cases, evaluate
from learner.evaluate.suite import SuiteError
from learner.failpoint import failpoint
from learner.gate import Choice, Verdict, choose
from learner.jobs import JobError
from learner.policy import PolicyError
from learner.rebuild import Basis
from learner.report.write import write_report
from learner.rollout import Begun, Chosen
from learner.train.stage import Trained, train
from learner.workfiles import clear_folder
from storage import adapters, canaries, cycles, feedback
from storage.artifacts import ArtifactError
from storage.cycles import NotRunning
from storage.records import Cycle, CycleState, StageName

Output = TypeVar("Output", bound=Struct)
T = TypeVar("T")

logger = logging.getLogger(__name__)
EXPECTED = (
    StageError, JobError, EngineError, AdapterError, SuiteError, PolicyError, PresidioMissing, ArtifactError, NotRunning, OSError,
)  # fmt: skip
OUTCOMES = {
    Verdict.PROMOTE: CycleState.PROMOTED,
    Verdict.REJECT: CycleState.REJECTED,
    Verdict.INCONCLUSIVE: CycleState.INCONCLUSIVE,
}


async def run(context: Context, cycle: Cycle) -> Cycle:
    """Runs a cycle, or the rest of one, to its end and returns it as it ended. It never raises for what a cycle may meet."""
    try:
        outcome = await _stages(context, cycle)
    except NothingToLearn as missing:
        outcome = Outcome(CycleState.SKIPPED, (str(missing),))
    except Exception as error:  # the edge of the cycle: whatever broke, it ends, and what is live stays live
        if not isinstance(error, EXPECTED):
            logger.exception("cycle %d met an error that nobody foresaw", cycle.id)
        outcome = Outcome(CycleState.FAILED, (f"{context.progress.stage}: {error}",))
    if (left := await _attempt(rebuild.leave_tainted(context))) is not None:
        outcome = msgspec.structs.replace(outcome, reasons=(*outcome.reasons, left))
    ended = await _end(context, cycle, outcome)
    context.progress = Progress()
    await _attempt(release.drain(context))
    await _attempt(rebuild.erase_tainted(context, cycle.id))
    await write_report(context, ended)
    return ended


async def _stages(context: Context, cycle: Cycle) -> Outcome:
    stage = await _Stages.of(context, cycle)
    basis = await rebuild.select_basis(context, cycle)

    collected = await stage(StageName.COLLECT, Collected, lambda: _collect(context, cycle, basis))
    curated = await stage(StageName.CURATE, Curated, lambda: _curate(context, cycle, collected, basis))
    dataset = curated.dataset_id
    trained = await stage(StageName.TRAIN, Trained, lambda: train(context, cycle, dataset, basis))
    if not trained.candidates:
        return Outcome(CycleState.TRAINED, trained.notes)
    probes = {candidate.adapter: trained.probes.get(candidate.adapter, []) for candidate in trained.candidates}
    evaluated = await stage(StageName.EVALUATE, Evaluated, lambda: evaluate(context, cycle, dataset, probes, trained.against))
    choice = await stage(StageName.GATE, Choice, lambda: _gate(context, evaluated))

    state = OUTCOMES[choice.verdict]
    if choice.verdict is Verdict.PROMOTE:
        chosen = Chosen(choice.adapter, trained.replaced, trained.against, probes[choice.adapter], choice.reasons[-1])
        begun = await stage(StageName.RELEASE, Begun, lambda: rollout.begin(context, cycle, chosen))
        state = state if begun.canary is None else CycleState.STAGED
    return Outcome(state, (*choice.reasons, *trained.notes), choice.adapter)


async def _collect(context: Context, cycle: Cycle, basis: Basis) -> Collected:
    await rebuild.end_tainted(context)
    await rollout.check_room(context, cycle)
    return await collect(context, cycle, may_be_none=bool(basis.why))


async def _curate(context: Context, cycle: Cycle, collected: Collected, basis: Basis) -> Curated:
    if not (context.folder(cycle.id) / FILE).exists():  # it is with another service, which collected it and has ended
        await collect_again(context, cycle, collected)
    return await curate(context, cycle, basis.parent, basis.again)


async def _attempt(work: Awaitable[T]) -> T | None:
    """What an engine or a store that is down may prevent: then the next cycle does it."""
    try:
        return await work
    except EXPECTED as error:
        logger.warning("put off until the next cycle: %s", error)
        return None


async def _gate(context: Context, evaluated: Evaluated) -> Choice:
    return choose(await cases(context, evaluated), context.settings.gate)


class Outcome(Struct, frozen=True):
    """How a cycle ends, why, and the version it made, if it got so far."""

    state: CycleState
    reasons: tuple[str, ...]
    adapter: str | None = None


class _Stages:
    """Runs a stage once: what an earlier try finished is read instead."""

    def __init__(self, context: Context, cycle: Cycle, done: dict[StageName, dict[str, object]]) -> None:
        self._context, self._cycle, self._done = context, cycle, done

    @classmethod
    async def of(cls, context: Context, cycle: Cycle) -> _Stages:
        stages = await context.database.read(lambda connection: cycles.select_stages(connection, cycle.id))
        return cls(context, cycle, {stage.name: stage.output for stage in stages if stage.output is not None})

    async def __call__(self, name: StageName, kind: type[Output], work: Callable[[], Awaitable[Output]]) -> Output:
        if name in self._done:
            return msgspec.convert(self._done[name], kind)
        context, cycle = self._context, self._cycle

        async def start(connection: AsyncConnection) -> None:
            await cycles.check_running(connection, cycle.id)
            await cycles.start_stage(connection, cycle.id, name, context.clock())

        context.progress = Progress(stage=name.value)
        await context.database.write(start)
        failpoint(f"{name.value}:started")
        output = await work()
        failpoint(f"{name.value}:worked")
        kept = msgspec.to_builtins(output)
        await context.database.write(lambda c: cycles.finish_stage(c, cycle.id, name, context.clock(), kept))
        failpoint(f"{name.value}:kept")
        return output


async def _end(context: Context, cycle: Cycle, outcome: Outcome) -> Cycle:
    """Closes the cycle, and what became of its candidate, in one transaction; then its files go.

    One that was ended from outside stays as it was ended.
    """

    async def close(connection: AsyncConnection) -> Cycle:
        found = await cycles.select_cycle(connection, cycle.id)
        if found is not None and found.state is not CycleState.RUNNING:
            return found
        stages = await cycles.select_stages(connection, cycle.id)
        collected = next((stage.output for stage in stages if stage.name is StageName.COLLECT and stage.output), None)
        seen = msgspec.convert(collected, Collected).watermark if collected else await feedback.latest_position(connection)
        await cycles.update_cycle(
            connection,
            cycle.id,
            state=outcome.state,
            ended_at_s=context.clock(),
            adapter=outcome.adapter,
            reasons=outcome.reasons,
            watermark=seen,
        )
        await adapters.reject_candidates(connection, cycle.id)
        await canaries.settle_cycle(connection, cycle.id)  # what it tries may have come to its end already
        ended = await cycles.select_cycle(connection, cycle.id)
        assert ended is not None
        return ended

    ended = await context.database.write(close)
    await asyncio.to_thread(clear_folder, context.folder(cycle.id))
    return ended
