"""One update cycle, the whole story: collect → curate → train → evaluate → gate → release.

Each stage's output is in the database before the next begins, so a cycle that was cut off goes on where it was. Only the
gate's `promote` leads to the release; whatever else happens, the version that is live stays live.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.adapter import AdapterError
from learner.collect import Collected, collect
from learner.context import Context, NothingToLearn, Progress, StageError
from learner.curate.dataset import Curated, curate
from learner.engine import EngineError
from learner.evaluate.stage import Evaluated, evaluate, suite_scores
from learner.evaluate.suite import SuiteError
from learner.failpoint import failpoint
from learner.gate import Decision, Verdict, decide
from learner.jobs import JobError
from learner.release import Released
from learner.train.stage import Trained, train
from storage import adapters, cycles, feedback
from storage.records import Cycle, CycleState, StageName

Output = TypeVar("Output", bound=Struct)

logger = logging.getLogger(__name__)
EXPECTED = (StageError, JobError, EngineError, AdapterError, SuiteError, OSError)
OUTCOMES = {
    Verdict.PROMOTE: CycleState.PROMOTED,
    Verdict.REJECT: CycleState.REJECTED,
    Verdict.INCONCLUSIVE: CycleState.INCONCLUSIVE,
}


async def run(context: Context, cycle: Cycle) -> Cycle:
    """Runs a cycle, or the rest of one, to its end and returns it as it ended. It never raises for what a cycle may meet."""
    try:
        ended = await _stages(context, cycle)
    except NothingToLearn as missing:
        ended = await _end(context, cycle, CycleState.SKIPPED, (str(missing),))
    except Exception as error:  # the edge of the cycle: whatever broke, it ends, and what is live stays live
        if not isinstance(error, EXPECTED):
            logger.exception("cycle %d met an error that nobody foresaw", cycle.id)
        ended = await _end(context, cycle, CycleState.FAILED, (f"{context.progress.stage}: {error}",))
    context.progress = Progress()
    with suppress(EngineError):  # an engine that is down has nothing to clear up; the next drain finds the rest
        await release.drain(context)
    return ended


async def _stages(context: Context, cycle: Cycle) -> Cycle:
    stage = await _Stages.of(context, cycle)
    live = (await release.live_release(context)).adapter

    await stage(StageName.COLLECT, Collected, lambda: collect(context, cycle))
    curated = await stage(StageName.CURATE, Curated, lambda: curate(context, cycle))
    trained = await stage(StageName.TRAIN, Trained, lambda: train(context, cycle, curated.dataset_id, live))
    candidate, parent = trained.adapter, trained.parent
    await release.load(context, candidate)
    evaluated = await stage(StageName.EVALUATE, Evaluated, lambda: evaluate(context, cycle, candidate, parent))
    decision = await stage(StageName.GATE, Decision, lambda: _gate(context, evaluated))

    if decision.verdict is Verdict.PROMOTE:
        reason = decision.reasons[-1]
        await stage(StageName.RELEASE, Released, lambda: release.promote(context, candidate, parent, trained.probes, reason))
    return await _end(context, cycle, OUTCOMES[decision.verdict], decision.reasons, candidate)


async def _gate(context: Context, evaluated: Evaluated) -> Decision:
    return decide(await suite_scores(context, evaluated), evaluated.votes, context.settings.gate)


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
        context.progress = Progress(stage=name.value)
        await context.database.write(lambda c: cycles.start_stage(c, cycle.id, name, context.clock()))
        failpoint(f"{name.value}:started")
        output = await work()
        failpoint(f"{name.value}:worked")
        kept = msgspec.to_builtins(output)
        await context.database.write(lambda c: cycles.finish_stage(c, cycle.id, name, context.clock(), kept))
        failpoint(f"{name.value}:kept")
        return output


async def _end(context: Context, cycle: Cycle, state: CycleState, reasons: tuple[str, ...], adapter: str | None = None) -> Cycle:
    """Closes the cycle, and what became of its candidate, in one transaction."""

    async def close(connection: AsyncConnection) -> Cycle:
        stages = await cycles.select_stages(connection, cycle.id)
        collected = next((stage.output for stage in stages if stage.name is StageName.COLLECT and stage.output), None)
        seen = msgspec.convert(collected, Collected).watermark if collected else await feedback.latest_position(connection)
        await cycles.update_cycle(
            connection,
            cycle.id,
            state=state,
            ended_at_s=context.clock(),
            adapter=adapter,
            reasons=reasons,
            watermark=seen,
        )
        await adapters.reject_candidates(connection, cycle.id)
        ended = await cycles.select_cycle(connection, cycle.id)
        assert ended is not None
        return ended

    return await context.database.write(close)
