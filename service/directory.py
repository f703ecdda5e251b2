"""`/api/people`: who is here, what they do, and how much of it was learnt."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.paging import LIMIT, Limit, Page, page
from storage import activity, people
from storage.activity import Activity
from storage.database import Database

Text = Annotated[str, QueryParameter(max_length=200)]


class Listed(Struct, frozen=True):
    """A person, and what they do here."""

    id: str
    name: str
    created_at_s: float
    learn: bool
    activity: Activity


@get("/people")
async def list_people(
    database: NamedDependency[Database], after: FromQuery[str] = "", limit: Limit = LIMIT, text: Text = ""
) -> Page[Listed]:
    """Everybody who was ever here and is not forgotten, by id; `text` is the beginning of an id, or a part of a name."""

    async def look(connection: AsyncConnection) -> list[Listed]:
        found = await people.select_people(connection, limit + 1, after, text)
        known = await activity.select_activity(connection, [person.id for person in found])
        return [Listed(one.id, one.name, one.created_at_s, one.learn, known[one.id]) for one in found]

    return page(await database.read(look), limit)


HANDLERS = [list_people]
