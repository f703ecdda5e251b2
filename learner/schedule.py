"""When cycles run: by interval, by enough new evidence, or because somebody asks. The only file that knows APScheduler.

Services that share a database agree by a lease on the one of them that runs cycles. Asking another one only begins a cycle
in the database: the one with the lease finds it there and runs it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import adopt, resume, rollout
from learner import cycle as story
from learner.config import LearnerSettings
from learner.context import Context
from learner.evidence import Condition, judge_evidence
from learner.train.methods import check_method
from learner.workfiles import clear_folder
from storage import adapters, audit, cycles, feedback, leases, reviews
from storage.connect import clock_s, in_turn
from storage.database import UnavailableError
from storage.feedback import EvidenceCount
from storage.records import Cycle, CycleState, new_id

logger = logging.getLogger(__name__)
LEASE = "schedule"
CHECK = "check"  # the timer's name for counting new evidence
LOOKS_PER_LEASE = 3  # how often the lease is renewed while it lasts


class Busy(Exception):
    """No cycle can begin now; the message says what is in the way."""


class Scheduler:
    """Starts cycles, one at a time, and takes up the one that a stopped service left running."""

    def __init__(self, context: Context, lease_s: float) -> None:
        self._context = context
        self._holder, self._lease_s = new_id("service"), lease_s
        self._leads = not context.database.is_shared  # alone on a database, a service need not ask
        self._task: asyncio.Task[Cycle] | None = None
        self._timer = AsyncIOScheduler(timezone="UTC")

    async def start(self) -> None:
        await self.look()
        settings = self._context.settings.schedule
        often = {"trigger": "interval", "coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        if settings.enabled:
            self._timer.add_job(self.check, id=CHECK, seconds=settings.check_every_s, **often)
        if self._context.database.is_shared:
            self._timer.add_job(self.look, seconds=self._lease_s / LOOKS_PER_LEASE, **often)
        self._timer.start()

    async def stop(self) -> None:
        """Stops without ending the cycle: its stages are kept, and the next start, or another service, goes on with it."""
        if self._timer.running:
            self._timer.shutdown(wait=False)
        await self._stop_cycle()
        if self._context.database.is_shared and self._leads:
            with suppress(UnavailableError):  # then it runs out by itself
                await self._context.database.write(lambda connection: leases.drop_lease(connection, LEASE, self._holder))

    async def look(self) -> None:
        """Takes or renews the lease, runs a cycle that is there to be run, and stops one that is no longer its own."""
        try:
            if self._context.database.is_shared:
                self._leads = await self._context.database.write(self._take_lease)
            left = await self._context.database.read(cycles.select_running)
        except UnavailableError as error:
            self._leads = not self._context.database.is_shared
            logger.warning("the database does not say who runs cycles: %s", error)
            left = None
        if self._leads and left is not None and not self.running:
            self._launch(left)
        elif self.running and not (self._leads and left is not None):
            await self._stop_cycle()

    async def run_now(self, trigger: str, method: str | None = None, corpus: str = "", actor: str | None = None) -> Cycle:
        """Begins a cycle of a method, the settings' own where none is named, and returns it as it begins.

        Documents come from the `corpus` alone where one is named. The `actor` is whose word it is, for the audit. Raises `Busy`
        while another runs, or while what it makes could not be tried, unless somebody is to be forgotten; ValueError for a
        method that there is not.
        """
        context, method = self._context, method or self._context.settings.train.method
        check_method(method)

        async def begin(connection: AsyncConnection) -> Cycle:
            await self._check_free(connection, method)
            begun = await cycles.insert_cycle(connection, trigger, method, context.clock(), corpus)
            if actor is not None:
                await audit.insert_audit(connection, actor, "cycle.start", str(begun.id), method, begun.started_at_s)
            return begun

        return self._go_on(await context.database.write(begin))

    async def judge_imported(self, name: str, actor: str) -> Cycle:
        """Begins a cycle that judges an adapter which was taken in, at the word of the `actor`, and returns it as it begins.
        Raises as `adopt.prepare` and `run_now` do."""
        context = self._context
        done = await adopt.prepare(context, name)

        async def begin(connection: AsyncConnection) -> Cycle:
            await self._check_free(connection, adopt.METHOD)
            begun = await cycles.insert_cycle(connection, "operator", adopt.METHOD, context.clock())
            await audit.insert_audit(connection, actor, "cycle.start", str(begun.id), f"to judge {name}", begun.started_at_s)
            for stage, output in done.items():
                await cycles.start_stage(connection, begun.id, stage, begun.started_at_s)
                await cycles.finish_stage(connection, begun.id, stage, begun.started_at_s, msgspec.to_builtins(output))
            return begun

        return self._go_on(await context.database.write(begin))

    async def _check_free(self, connection: AsyncConnection, method: str) -> None:
        await in_turn(connection, "cycles")
        if (other := await cycles.select_running(connection)) is not None:
            raise Busy(f"cycle {other.id} is already running: `ratchet cycle list` shows it")
        full = await rollout.lacks_room(connection, self._context.settings.release.mode, method)
        if full and not await adapters.select_tainted(connection):
            raise Busy(f"what a cycle learnt could not be tried: {full}")

    def _go_on(self, cycle: Cycle) -> Cycle:
        """Runs a cycle that is there to be run, where it is this service that runs cycles."""
        if self._leads:
            self._launch(cycle)
        return cycle

    @property
    def leads(self) -> bool:
        """Whether it is this service that runs cycles."""
        return self._leads

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def cancel(self, actor: str) -> Cycle | None:
        """Ends the running cycle for good, at the word of the `actor`; what is live stays. Gives None when there is none."""
        await self._stop_cycle()
        context = self._context

        async def close(connection: AsyncConnection) -> Cycle | None:
            left = await cycles.select_running(connection)
            if left is None:
                return None
            await cycles.update_cycle(
                connection, left.id, state=CycleState.CANCELLED, ended_at_s=context.clock(), reasons=("cancelled",)
            )
            await adapters.reject_candidates(connection, left.id)
            await audit.insert_audit(connection, actor, "cycle.cancel", str(left.id), "", context.clock())
            return await cycles.select_cycle(connection, left.id)

        closed = await context.database.write(close)
        if closed is not None:
            await asyncio.to_thread(clear_folder, context.folder(closed.id))
        return closed

    async def resume(self, cycle_id: int, actor: str) -> Cycle:
        """Has a failed cycle go on from its last saved stage, for the `actor`, and returns it as it goes on. Raises as
        `resume.reopen` does, and `Busy` while another cycle runs."""

        async def reopen(connection: AsyncConnection) -> Cycle:
            await in_turn(connection, "cycles")
            if (other := await cycles.select_running(connection)) is not None:
                raise Busy(f"cycle {other.id} is running: cycle {cycle_id} can go on when it has ended")
            return await resume.reopen(connection, cycle_id, actor, self._context.clock())

        return self._go_on(await self._context.database.write(reopen))

    async def check(self) -> str | None:
        """Starts a cycle when it is time for one; gives the trigger, or None."""
        if self.running or not self._leads:
            return None
        trigger = (await self.outlook()).trigger
        if trigger is not None:
            await self.run_now(trigger)
        return trigger

    async def outlook(self) -> Due:
        """Whether it is time for a cycle, and what is still missing for one."""
        context, settings = self._context, self._context.settings

        async def look(connection: AsyncConnection) -> tuple[News, float]:
            seen = await cycles.last_seen(connection)
            news = News(
                await feedback.count_evidence(connection, seen),
                await feedback.count_by_person(connection, seen),
                waits=bool(await reviews.select_pending_ids(connection, 1)),
                tainted=bool(await adapters.select_tainted(connection)),
                full=bool(await rollout.lacks_room(connection, settings.release.mode, settings.train.method)),
            )
            latest = await cycles.select_cycles(connection, limit=1)
            return news, latest[0].started_at_s if latest else 0.0

        news, last_started_s = await context.database.read(look)
        return due(news, context.clock() - last_started_s, settings)

    @property
    def next_look_at_s(self) -> float | None:
        """When new evidence is counted next, by the system's clock; None where that is not done here."""
        times = [job.next_run_time for job in self._timer.get_jobs() if job.id == CHECK] if self._timer.running else []
        return times[0].timestamp() if times and self._leads else None

    async def _take_lease(self, connection: AsyncConnection) -> bool:
        return await leases.take_lease(connection, LEASE, self._holder, await clock_s(connection), self._lease_s)

    def _launch(self, cycle: Cycle) -> None:
        self._task = asyncio.create_task(story.run(self._context, cycle), name=f"cycle {cycle.id}")

    async def _stop_cycle(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class News(Struct, frozen=True):
    """What there is since the last cycle looked."""

    fresh: EvidenceCount
    of_people: list[int]  # how many answers each person voted on or corrected
    waits: bool = False  # something is held back that may teach later
    tainted: bool = False  # adapters are left which learnt from somebody who is forgotten
    full: bool = False  # as many versions are tried as can be: what is learnt now could not be


class Due(Struct, frozen=True):
    """Why a cycle should start now, None if it should not; and what that was decided by.

    One starts when all that is in `evidence` is met, or all that is in `interval`, while nothing `blocks`: those are conditions
    that either way has to meet. Who is forgotten cannot wait, for any of them.
    """

    trigger: str | None
    evidence: tuple[Condition, ...]
    interval: tuple[Condition, ...]
    blocks: tuple[Condition, ...]  # what is not met of what any cycle needs


def due(news: News, since_last_s: float, settings: LearnerSettings) -> Due:
    """Whether a cycle should start, given what there is, and how long ago the last one did."""
    evidence = judge_evidence(news.fresh, news.of_people, settings.curate, settings.schedule).conditions
    interval = (
        Condition("answers with something new said of them, or held back", max(news.fresh.rows, int(news.waits)), 1),
        Condition("seconds since the last cycle began", since_last_s, settings.schedule.interval_s),
    )
    blocks = (Condition("a free slot for a trial", 0, 1),) if news.full else ()
    return Due(_trigger(news, evidence, interval), evidence, interval, blocks)


def _trigger(news: News, evidence: Sequence[Condition], interval: Sequence[Condition]) -> str | None:
    if news.tainted:
        return "forgotten"
    if news.full:
        return None
    if all(one.met for one in evidence):
        return "evidence"
    return "interval" if all(one.met for one in interval) else None
