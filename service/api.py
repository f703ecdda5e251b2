"""`/api`: what operators ask for and decide, for the command line and programs. All of it needs an operator's key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from litestar import Router as Routes
from litestar import delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.context import Context, Progress
from learner.evaluate.scoring import score_baseline
from learner.preview import Preview, preview
from learner.schedule import Scheduler
from learner.train.methods import check_method
from service import (
    ask,
    audits,
    data,
    datasets,
    directory,
    disk,
    documents,
    engines,
    events,
    held,
    keys,
    lineage,
    measured,
    messages,
    minutes,
    moves,
    policy,
    portable,
    pretrain,
    releases,
    report_link,
    reports,
    review,
    scores,
    stats,
    status,
    suites,
    training,
    votes,
)
from service.auth import actor_of, asker_of, operators_only
from service.clock import Clock
from service.keys import make_key
from service.people import OPERATOR_HANDLERS
from service.problem import Problem
from storage import adapters, audit, cycles, people
from storage.database import Database
from storage.keys import insert_key
from storage.records import Adapter, Cycle, Person, Stage, new_id

LONGEST_MOVE_S = 10 * 366 * 24 * 3600  # of an injected clock, at once


class CycleReport(Struct, frozen=True):
    """A cycle, its stages with their outputs, and where it is now."""

    cycle: Cycle
    stages: list[Stage]
    progress: Progress | None


class CycleRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a cycle is to be; the settings' own where it is not said."""

    method: str | None = None
    corpus: str = ""  # the domain or source of the documents that it may learn from


class NewPerson(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class PersonKey(Struct, frozen=True):
    """The key is shown this once."""

    id: str
    name: str
    key: str


class ClockMove(Struct, frozen=True, forbid_unknown_fields=True):
    seconds: Annotated[float, Meta(ge=0, le=LONGEST_MOVE_S)]


@post("/cycles", status_code=202)
async def start_cycle(
    scheduler: NamedDependency[Scheduler], actor: NamedDependency[str], data: JSONBody[CycleRequest | None] = None
) -> Cycle:
    """Begins a cycle now."""
    wanted = data or CycleRequest()
    try:
        return await scheduler.run_now("operator", wanted.method, wanted.corpus, actor)
    except ValueError as error:
        raise Problem("invalid_request", str(error), "method") from error


@get("/cycles/preview")
async def preview_cycle(
    context: NamedDependency[Context], method: FromQuery[str | None] = None, corpus: FromQuery[str] = ""
) -> Preview:
    """A dry run: what a cycle would learn if it began now, and what is missing. Nothing is changed."""
    method = method or context.settings.train.method
    try:
        check_method(method)
    except ValueError as error:
        raise Problem("invalid_request", str(error), "method") from error
    return await preview(context, method, corpus)


@get("/cycles")
async def list_cycles(
    database: NamedDependency[Database], limit: FromQuery[int] = 50, before: FromQuery[int | None] = None
) -> list[Cycle]:
    """Newest first; of those before the cycle `before`, where one is named."""
    until = None if before is None else before - 1
    return await database.read(lambda connection: cycles.select_cycles(connection, min(max(limit, 1), 1000), until))


@get("/cycles/{cycle_id:int}")
async def show_cycle(
    cycle_id: FromPath[int], database: NamedDependency[Database], context: NamedDependency[Context]
) -> CycleReport:
    async def look(connection: AsyncConnection) -> tuple[Cycle | None, list[Stage], Cycle | None]:
        found = await cycles.select_cycle(connection, cycle_id)
        return found, await cycles.select_stages(connection, cycle_id), await cycles.select_running(connection)

    found, stages, running = await database.read(look)
    if found is None:
        raise Problem("not_found", f"there is no cycle {cycle_id}")
    return CycleReport(found, stages, context.progress if running is not None and running.id == cycle_id else None)


@delete("/cycles/running", status_code=200)
async def cancel_cycle(scheduler: NamedDependency[Scheduler], actor: NamedDependency[str]) -> Cycle:
    """Ends the running cycle for good; what is live stays live."""
    cancelled = await scheduler.cancel(actor)
    if cancelled is None:
        raise Problem("not_found", "no cycle is running")
    return cancelled


@post("/cycles/{cycle_id:int}/resume", status_code=202)
async def resume_cycle(cycle_id: FromPath[int], actor: NamedDependency[str], scheduler: NamedDependency[Scheduler]) -> Cycle:
    """Has a cycle that failed go on from its last saved stage: one that got as far as a dataset, and whose evidence no other
    cycle has used up since. Refused (409) where it cannot, with the reason."""
    try:
        return await scheduler.resume(cycle_id, actor)
    except LookupError as error:
        raise Problem("not_found", f"there is {error}", "cycle_id") from error


@post("/baseline", status_code=200)
async def baseline(context: NamedDependency[Context]) -> dict[str, bool]:
    """Returns once base is scored on the frozen suites; otherwise the first cycle does it."""
    await score_baseline(context)
    return {"scored": True}


@get("/adapters")
async def list_adapters(database: NamedDependency[Database]) -> list[Adapter]:
    """Newest first."""
    return await database.read(adapters.select_adapters)


@post("/adapters/{name:str}/load", status_code=200)
async def load_adapter(name: FromPath[str], database: NamedDependency[Database], context: NamedDependency[Context]) -> Adapter:
    """Has the engine serve a version under its own name, for tests of it; who is live stays live."""
    found = await database.read(lambda connection: lineage.known_adapter(connection, name))
    await release.load(context, name)
    return found


@post("/people", status_code=201)
async def add_person(
    data: JSONBody[NewPerson],
    actor: NamedDependency[str],
    database: NamedDependency[Database],
    clock: NamedDependency[Callable[[], float]],
) -> PersonKey:
    """A person with a key of their own."""
    person = Person(new_id("person"), data.name, clock())
    made, key = make_key(person.id, clock(), data.name)

    async def insert(connection: AsyncConnection) -> None:
        await people.insert_person(connection, person)
        await insert_key(connection, made)
        await audit.insert_audit(connection, actor, "key.create", made.id, made.role.value, clock())

    await database.write(insert)
    return PersonKey(person.id, person.name, key)


@post("/clock", status_code=200)
async def move_clock(data: JSONBody[ClockMove], clock: NamedDependency[Clock]) -> float:
    """Moves an injected clock forward; the system's own is never touched."""
    if not clock.injected:
        raise Problem("conflict", 'the clock is the system\'s own: only `clock = "injected"` in the configuration can be moved')
    return clock.advance(data.seconds)


def api_routes() -> Routes:
    """All routes under `/api`, for operators and admins."""
    handlers = [
        start_cycle, preview_cycle, list_cycles, show_cycle, cancel_cycle, resume_cycle, baseline, list_adapters, load_adapter,
        add_person, move_clock, *audits.HANDLERS, *directory.HANDLERS, *held.HANDLERS, *disk.HANDLERS, *minutes.HANDLERS,
        *data.HANDLERS, *documents.HANDLERS, *stats.HANDLERS, *datasets.HANDLERS,
        *review.HANDLERS, *policy.HANDLERS, *lineage.HANDLERS, *pretrain.HANDLERS, *reports.HANDLERS, *events.HANDLERS,
        *releases.HANDLERS, *suites.HANDLERS, *OPERATOR_HANDLERS, *status.HANDLERS, *votes.HANDLERS, *messages.HANDLERS,
        *scores.HANDLERS, *moves.HANDLERS, *ask.HANDLERS, *portable.HANDLERS, *engines.HANDLERS, *training.HANDLERS,
        *report_link.HANDLERS, *measured.HANDLERS, *keys.HANDLERS,
    ]  # fmt: skip
    known = {"asker": Provide(asker_of, sync_to_thread=False), "actor": Provide(actor_of, sync_to_thread=False)}
    return Routes("/api", route_handlers=handlers, guards=[operators_only], dependencies=known)
