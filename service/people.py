"""People who are to be forgotten: at an operator's word or their own, with the receipts, and a search for what is left."""

from __future__ import annotations

import asyncio

from litestar import Request, Response, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from learner.context import Context
from learner.forget import forget
from learner.schedule import Scheduler
from service.auth import Asker, Gatekeeper, asker_of
from service.cookies import PERSON, Cookies
from service.problem import Problem
from storage import erase, keys, remains
from storage.database import Database
from storage.records import Erasure, KeyRole
from storage.remains import Search


@delete("/people/{person_id:str}", status_code=200)
async def forget_person(
    person_id: FromPath[str],
    asker: NamedDependency[Asker],
    context: NamedDependency[Context],
    scheduler: NamedDependency[Scheduler],
    gatekeeper: NamedDependency[Gatekeeper],
) -> Erasure:
    """Forgets a person, and gives the receipt. One who operates the loop is forgotten by an admin."""
    if await context.database.read(lambda connection: keys.operates(connection, person_id)) and not asker.may(KeyRole.ADMIN):
        raise Problem("not_allowed", f"{person_id} has keys of an operator: an admin may forget them", "person_id")
    try:
        return await _forget(person_id, asker.actor, context, scheduler, gatekeeper)
    except LookupError:
        raise Problem("not_found", f"there is no person {person_id!r}", "person_id") from None


@delete("/v1/me", status_code=200)
async def forget_me(
    request: Request,  # type: ignore[type-arg]
    context: NamedDependency[Context],
    scheduler: NamedDependency[Scheduler],
    gatekeeper: NamedDependency[Gatekeeper],
    jar: NamedDependency[Cookies],
) -> Response[Erasure]:
    """Deletes all data of the asker, keys included; a browser is somebody new from then on."""
    person = asker_of(request).person
    try:
        receipt = await _forget(person.id, "person", context, scheduler, gatekeeper)
    except LookupError:
        raise Problem("not_found", "nothing is kept about you") from None
    return Response(receipt, cookies=[jar.gone(PERSON)])


@get("/erasures")
async def list_erasures(database: NamedDependency[Database], limit: FromQuery[int] = 100) -> list[Erasure]:
    """The receipts of people who were forgotten, newest first."""
    return await database.read(lambda connection: erase.select_erasures(connection, min(max(limit, 1), 1000)))


@get("/erasures/verify")
async def verify_erasures(database: NamedDependency[Database], context: NamedDependency[Context]) -> Search:
    """Searches for what should be gone: every file below the home, backups, and the tables where they are no file there."""
    receipts, marks = await database.read(remains.select_marks)
    files, found = await asyncio.to_thread(remains.search_files, context.home, marks)
    tables, in_tables = await database.read(lambda c: remains.search_tables(c, marks)) if database.is_shared else (0, [])
    return Search(receipts, files, tables, [*found, *in_tables])


async def _forget(person_id: str, actor: str, context: Context, scheduler: Scheduler, gatekeeper: Gatekeeper) -> Erasure:
    async def end_cycle() -> None:
        await scheduler.cancel(actor)
        gatekeeper.forget(person_id)

    return await forget(context, person_id, actor, end_cycle)


OPERATOR_HANDLERS = [forget_person, list_erasures, verify_erasures]
HANDLERS = [forget_me]
