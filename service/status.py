"""`/api/status`: the loop at a glance. What is live, what is tried beside it, what a cycle still waits for, how the last went."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.assignment import Tried
from learner.context import Context, Progress
from learner.evidence import Condition
from learner.schedule import Due, Scheduler
from service.fleet import Fleet
from service.router import Router
from service.supervisor import EngineState
from storage import cycles, feedback
from storage.database import Database
from storage.feedback import EvidenceCount
from storage.records import Cycle, CycleState

NEWEST = 2  # cycles: only the newest of all can be running

Way = Literal["evidence", "interval", "always"]


class Need(Struct, frozen=True):
    """A condition for a cycle to start by itself, and how far it is met.

    One starts when all conditions of one way, `evidence` or `interval`, are met, and all that are for `always`.
    """

    way: Way
    what: str
    have: float
    need: float
    met: bool


class Outlook(Struct, frozen=True):
    """When the next cycle starts by itself."""

    enabled: bool  # whether any does
    leads: bool  # whether it is this service that runs cycles
    trigger: str | None  # why one is due by now; None while it is not
    needs: list[Need]
    next_look_at_s: float | None  # when these are looked at again, by the system's clock; None where it is not done here
    interval_at_s: float | None  # from when on anything new is enough; None before the first cycle


class Status(Struct, frozen=True):
    """The loop at a glance."""

    engine: EngineState  # of the engine that is best off
    engine_urls: list[str]
    engine_restarts: int  # of all engines
    live: str
    previous: str | None
    tried: tuple[Tried, ...]  # beside the live version, each by its share of the people
    model_dir: str
    home: str
    evidence: EvidenceCount  # new since the last cycle that used any
    outlook: Outlook
    cycle: Cycle | None  # the one that runs
    progress: Progress | None  # of it, where this service runs it
    last: Cycle | None  # that ended: its state is the verdict, with the reasons


@get("/status")
async def show_status(
    context: NamedDependency[Context],
    fleet: NamedDependency[Fleet],
    router: NamedDependency[Router],
    scheduler: NamedDependency[Scheduler],
    database: NamedDependency[Database],
) -> Status:
    """What is live, what is tried, what is new, what is missing for a cycle, what runs, and how the last cycle ended."""

    async def look(connection: AsyncConnection) -> tuple[EvidenceCount, Cycle | None, list[Cycle]]:
        fresh = await feedback.count_evidence(connection, await cycles.last_watermark(connection))
        return fresh, await cycles.select_running(connection), await cycles.select_cycles(connection, NEWEST)

    evidence, running, newest = await database.read(look)
    return Status(
        engine=fleet.state,
        engine_urls=fleet.urls,
        engine_restarts=fleet.restarts,
        live=router.live,
        previous=router.previous,
        tried=router.standing.tried,
        model_dir=str(context.model_dir),
        home=str(context.home),
        evidence=evidence,
        outlook=_outlook(await scheduler.outlook(), scheduler, context, newest),
        cycle=running,
        progress=context.progress if running is not None and context.progress.stage else None,
        last=next((cycle for cycle in newest if cycle.state is not CycleState.RUNNING), None),
    )


def _outlook(due: Due, scheduler: Scheduler, context: Context, newest: list[Cycle]) -> Outlook:
    settings = context.settings.schedule
    needs = [*_needs("evidence", due.evidence), *_needs("interval", due.interval), *_needs("always", due.blocks)]
    interval_at_s = newest[0].started_at_s + settings.interval_s if newest else None
    return Outlook(settings.enabled, scheduler.leads, due.trigger, needs, scheduler.next_look_at_s, interval_at_s)


def _needs(way: Way, conditions: Iterable[Condition]) -> list[Need]:
    return [Need(way, one.what, one.have, one.need, one.met) for one in conditions]


HANDLERS = [show_status]
