"""Watches what is tried: judges each canary every few seconds, and does what the judgement says.

Of services that share a database, the one that runs cycles does it. A step that fails is tried again at the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from learner import release, rollout
from learner.adapter import AdapterError
from learner.canary import Judgement, judge
from learner.context import Context, StageError
from learner.engine import EngineError
from learner.observe import Observer
from learner.report.write import renew_report
from storage import canaries, cycles
from storage.artifacts import ArtifactError
from storage.database import UnavailableError
from storage.records import Canary, CanaryState, CycleState

logger = logging.getLogger(__name__)
NEWEST = 20  # canaries whose ends are looked for: no more end between two looks, or while no service runs
EXPECTED = (EngineError, AdapterError, ArtifactError, StageError, UnavailableError, OSError)


class CanaryKeeper:
    """Judges canaries for whoever asks, and by itself while it `leads`."""

    def __init__(self, context: Context, leads: Callable[[], bool]) -> None:
        settings = context.settings
        self._context, self._leads = context, leads
        self._observer = Observer(context.database, settings.release, settings.train.repetition_floor)
        self._reported: set[int] = set()  # canaries whose end is in the reports of their cycles

    async def keep(self) -> None:
        """Looks at what is tried, again and again, until it is cancelled."""
        while True:
            if self._leads():
                await self.look()
            await asyncio.sleep(self._context.settings.release.check_every_s)

    async def look(self) -> None:
        """One step of each canary that is due for one."""
        try:
            tried = await self._context.database.read(canaries.select_open)
            for canary in tried:
                await self._step(canary)
            await self._unload(tried)
            await self._report()
        except EXPECTED as error:
            logger.warning("what is tried cannot be looked at now: %s", error)

    async def judge(self, canary: Canary) -> Judgement:
        """What there is to say of a canary by now."""
        settings, now_s = self._context.settings.release, self._context.clock()
        tried, live = await self._observer.observe(canary)
        canary_s = now_s - (canary.resumed_at_s or canary.started_at_s)
        return judge(tried, live, canary.stage, now_s - canary.stage_started_at_s, canary_s, settings)

    async def _step(self, canary: Canary) -> None:
        context = self._context
        cycle = await context.database.read(partial(cycles.select_cycle, id=canary.cycle_id))
        if canary.state not in rollout.ON_TRIAL or cycle is None or cycle.state is CycleState.RUNNING:
            return  # a cycle that has not ended may still put another version live
        try:
            await self._serve(canary)
            live = (await release.live_release(context)).adapter
            if live != canary.against and canary.state is CanaryState.RUNNING:
                reason = f"it is tried against {canary.against}, but {live} is live now"
                await rollout.hold(context, canary, rollout.JUDGE, reason)
            else:
                await rollout.take(context, canary, await self.judge(canary))
        except AdapterError as damaged:
            await rollout.roll_back(context, canary, rollout.JUDGE, f"it cannot be served: {damaged}")
        except Exception as error:  # the edge of a step: whatever one canary meets, the others are watched
            if not isinstance(error, EXPECTED):
                logger.exception("canary %s met an error that nobody foresaw", canary.adapter)
            logger.warning("canary %s: %s", canary.adapter, error)

    async def _unload(self, tried: Sequence[Canary]) -> None:
        """Takes what is no longer needed of these out of the engine, and nothing else: a cycle may be judging its candidates."""
        needed = {adapter.name for adapter in await release.served_adapters(self._context)} if tried else set()
        for canary in tried:
            if canary.adapter not in needed:
                await release.unload(self._context, canary.adapter)

    async def _report(self) -> None:
        """Has the reports of cycles tell how their canaries ended, whoever ended them."""
        for canary in await self._context.database.read(partial(canaries.select_canaries, limit=NEWEST)):
            if canary.state not in canaries.OPEN and canary.id not in self._reported:
                await renew_report(self._context, canary.cycle_id)
                self._reported.add(canary.id)

    async def _serve(self, canary: Canary) -> None:
        """Has the engine serve it, should it have started without. Raises `AdapterError` for damaged files."""
        if canary.adapter not in await self._context.engine.models():
            await release.load(self._context, canary.adapter)
