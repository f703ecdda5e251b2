"""When cycles run: by interval, by enough new evidence, or because somebody asks. The only file that knows APScheduler."""

from __future__ import annotations

import asyncio

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import cycle as story
from learner.config import ScheduleSettings
from learner.context import Context
from storage import cycles, feedback
from storage.feedback import EvidenceCount
from storage.records import Cycle, CycleState


class Busy(Exception):
    """A cycle is running; the message names it."""


class Scheduler:
    """Starts cycles, one at a time, and takes up the one that a stopped service left running."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._task: asyncio.Task[Cycle] | None = None
        self._timer = AsyncIOScheduler(timezone="UTC")

    async def start(self) -> None:
        left = await self._context.database.read(cycles.select_running)
        if left is not None:
            self._launch(left)
        settings = self._context.settings.schedule
        if settings.enabled:
            self._timer.add_job(
                self.check,
                "interval",
                seconds=settings.check_every_s,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        self._timer.start()

    async def stop(self) -> None:
        """Stops without ending the cycle: its stages are kept and the next start goes on with it."""
        if self._timer.running:
            self._timer.shutdown(wait=False)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run_now(self, trigger: str) -> Cycle:
        """Begins a cycle and returns it as it begins. Raises `Busy` while another runs."""
        if self.running:
            raise Busy("a cycle is already running: `ratchet cycle list` shows it")
        context = self._context
        begun = await context.database.write(
            lambda c: cycles.insert_cycle(c, trigger, context.settings.train.method, context.clock())
        )
        self._launch(begun)
        return begun

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def cancel(self) -> Cycle | None:
        """Ends the running cycle for good; what is live stays. Gives None when there is none."""
        if self._task is None or self._task.done():
            return None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        context = self._context

        async def close(connection: AsyncConnection) -> Cycle | None:
            left = await cycles.select_running(connection)
            if left is not None:
                await cycles.update_cycle(
                    connection, left.id, state=CycleState.CANCELLED, ended_at_s=context.clock(), reasons=("cancelled",)
                )
                return await cycles.select_cycle(connection, left.id)
            return None

        return await context.database.write(close)

    async def check(self) -> str | None:
        """Starts a cycle when it is time for one; gives the trigger, or None."""
        if self.running:
            return None
        context = self._context

        async def look(connection: AsyncConnection) -> tuple[EvidenceCount, float]:
            latest = await cycles.select_cycles(connection, limit=1)
            fresh = await feedback.count_evidence(connection, await cycles.last_seen(connection))
            return fresh, latest[0].started_at_s if latest else 0.0

        fresh, last_started_s = await context.database.read(look)
        trigger = due(fresh, context.clock() - last_started_s, context.settings.schedule)
        if trigger is not None:
            await self.run_now(trigger)
        return trigger

    def _launch(self, cycle: Cycle) -> None:
        self._task = asyncio.create_task(story.run(self._context, cycle), name=f"cycle {cycle.id}")


def due(fresh: EvidenceCount, since_last_s: float, settings: ScheduleSettings) -> str | None:
    """Why a cycle should start now, given what is new since the last one looked; None if it should not."""
    enough = (
        fresh.up + fresh.down >= settings.min_new_votes
        and min(fresh.up, fresh.down) >= settings.min_minority_votes
        and fresh.people >= settings.min_people
    )
    if enough:
        return "evidence"
    return "interval" if fresh.rows and since_last_s >= settings.interval_s else None
