"""`/api`, lineage: what an adapter was made of and judged by, back to base, and who learnt from which message."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.problem import Problem
from storage import adapters, lineage
from storage.database import Database
from storage.lineage import Link
from storage.records import Adapter

MANY = 1000


class Lineage(Struct, frozen=True):
    """`chain` runs from the adapter to base; those of its adapters that learnt from a person now forgotten are `tainted`."""

    adapter: str
    chain: list[Link]
    tainted: list[str]


class Lessons(Struct, frozen=True):
    """Messages an adapter learnt from; `has_more` says whether a page after the last of them would hold any."""

    adapter: str
    messages: list[str]
    has_more: bool


class Learners(Struct, frozen=True):
    """Adapters that learnt from a message, oldest first."""

    message: str
    adapters: list[str]


async def known_adapter(connection: AsyncConnection, name: str) -> Adapter:
    """The adapter of this name. Raises `not_found`."""
    found = await adapters.select_adapter(connection, name)
    if found is None:
        raise Problem("not_found", f"there is no adapter {name!r}")
    return found


@get("/adapters/{name:str}")
async def show_adapter(name: FromPath[str], database: NamedDependency[Database]) -> Lineage:
    """The chain from an adapter to base."""
    chain = await database.read(lambda connection: lineage.select_chain(connection, name))
    if not chain:
        raise Problem("not_found", f"there is no adapter {name!r}")
    return Lineage(name, chain, [link.adapter.name for link in chain if link.adapter.tainted_at_s is not None])


@get("/adapters/{name:str}/messages")
async def list_lessons(
    name: FromPath[str],
    database: NamedDependency[Database],
    after: Annotated[str, QueryParameter()] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=10 * MANY)] = MANY,
) -> Lessons:
    """A page of the messages that an adapter learnt from, itself or through those it descends from, by id."""

    async def look(connection: AsyncConnection) -> list[str]:
        await known_adapter(connection, name)
        return await lineage.select_messages_of_adapter(connection, name, after=after, limit=limit + 1)

    found = await database.read(look)
    return Lessons(name, found[:limit], len(found) > limit)


@get("/messages/{message_id:str}/adapters")
async def list_learners(message_id: FromPath[str], database: NamedDependency[Database]) -> Learners:
    """The adapters that learnt from a message, also when it is deleted by now; none for an unknown one."""
    found = await database.read(lambda connection: lineage.select_adapters_of_message(connection, message_id))
    return Learners(message_id, found)


HANDLERS = [show_adapter, list_lessons, list_learners]
