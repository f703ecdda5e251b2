"""People, and whether cycles may learn from them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import insert_missing
from storage.records import Person
from storage.rows import insert, select_all, select_one
from storage.tables import people

ONE = select(people).where(people.c.id == bindparam("id"))


async def insert_person(connection: AsyncConnection, person: Person) -> None:
    """Add a person; IntegrityError if the id is taken."""
    await insert(connection, people, [person])


async def ensure_person(connection: AsyncConnection, person: Person) -> None:
    """Add a person at their first write; one who is there already stays as they are."""
    if await select_person(connection, person.id) is None:
        await insert_missing(connection, people, person)


async def update_consent(connection: AsyncConnection, id: str, learn: bool) -> None:
    """Set whether cycles may learn from this person; LookupError if there is none."""
    if (await connection.execute(update(people).where(people.c.id == id).values(learn=learn))).rowcount == 0:
        raise LookupError(f"no person {id!r}")


async def select_person(connection: AsyncConnection, id: str) -> Person | None:
    """The person with this id."""
    return await select_one(connection, ONE, Person, id=id)


async def select_people(connection: AsyncConnection, limit: int, after: str = "", text: str = "") -> list[Person]:
    """A page of all people, by id; `after` is the id that ended the page before.

    `text` is how an id begins, or a part of a name; of A to Z it finds either case.
    """
    statement = select(people).where(people.c.id > after)
    if text:
        named = people.c.name.icontains(text, autoescape=True)
        statement = statement.where(or_(people.c.id.startswith(text, autoescape=True), named))
    return await select_all(connection, statement.order_by(people.c.id).limit(limit), Person)


async def select_created(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, float]:
    """When the accounts of these people were made; nobody's who is not here."""
    found = await select_all(connection, select(people).where(people.c.id.in_(ids)), Person)
    return {person.id: person.created_at_s for person in found}
