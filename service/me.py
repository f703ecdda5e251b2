"""`/v1/me`: who the asker is here, whether cycles may learn from them, and a copy of all that is kept of them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth import asker_of
from service.export import export
from storage import kept, people
from storage.database import Database
from storage.kept import Counts
from storage.records import Person


class Me(Struct, frozen=True):
    """`learn` is the asker's consent; `kept` counts what there is of them."""

    id: str
    name: str
    learn: bool
    kept: Counts


class Consent(Struct, frozen=True, forbid_unknown_fields=True):
    learn: bool


@get("/v1/me")
async def show_me(
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> Me:
    """The asker, also when nothing is kept of them yet."""
    person = asker_of(request).person
    return await database.read(lambda connection: _me(connection, person))


@post("/v1/me", status_code=200)
async def consent(
    data: JSONBody[Consent],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
    clock: NamedDependency[Callable[[], float]],
) -> Me:
    """Says whether cycles may learn from what the asker says, past and future; what is live stays as it is."""
    person = asker_of(request).person

    async def change(connection: AsyncConnection) -> Me:
        await people.ensure_person(connection, msgspec.structs.replace(person, created_at_s=clock()))
        await people.update_consent(connection, person.id, data.learn)
        return await _me(connection, person)

    return await database.write(change)


@get("/v1/me/export")
async def export_me(
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> Stream:
    """All that is kept of the asker, as one JSON document to take along."""
    person = asker_of(request).person
    known = await database.read(lambda connection: people.select_person(connection, person.id)) or person
    headers = {"content-disposition": 'attachment; filename="ratchet-export.json"', "cache-control": "no-store"}
    return Stream(export(database, known), media_type="application/json", headers=headers)


async def _me(connection: AsyncConnection, person: Person) -> Me:
    known = await people.select_person(connection, person.id) or person
    return Me(known.id, known.name, known.learn, await kept.count_kept(connection, person.id))


HANDLERS = [show_me, consent, export_me]
