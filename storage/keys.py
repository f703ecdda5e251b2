"""Keys that people and operators come in with: made, found, replaced with an overlap, and ended."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.people import select_person
from storage.records import ApiKey, KeyRole, Person
from storage.rows import insert, select_all, select_one, select_place
from storage.tables import api_keys


async def insert_key(connection: AsyncConnection, key: ApiKey) -> None:
    """Add a key of an existing person; IntegrityError if the key or its id is known, or the person is not."""
    await insert(connection, api_keys, [key])


async def select_known(connection: AsyncConnection, sha256: str) -> tuple[ApiKey, Person] | None:
    """The key with this SHA-256 (lower-case hexadecimal), whether it is still good or not, and whose it is."""
    key = await select_one(connection, select(api_keys).where(api_keys.c.sha256 == sha256), ApiKey)
    person = await select_person(connection, key.person_id) if key is not None else None
    return (key, person) if key is not None and person is not None else None


async def select_key(connection: AsyncConnection, id: str) -> ApiKey:
    """The key with this id; LookupError if there is none."""
    found = await select_one(connection, select(api_keys).where(api_keys.c.id == id), ApiKey)
    if found is None:
        raise LookupError(f"no key {id!r}")
    return found


async def select_keys(connection: AsyncConnection, limit: int, after: str | None = None, person_id: str = "") -> list[ApiKey]:
    """A page of keys, newest first, of one person where one is named; `after` is the id that ended the page before."""
    statement = select(api_keys)
    if person_id:
        statement = statement.where(api_keys.c.person_id == person_id)
    if after is not None:
        column = api_keys.c.created_at_s
        created_at_s = (await select_place(connection, select(column).where(api_keys.c.id == after), f"key {after!r}"))[0]
        later = (column == created_at_s) & (api_keys.c.id > after)
        statement = statement.where(or_(column < created_at_s, later))
    return await select_all(connection, statement.order_by(api_keys.c.created_at_s.desc(), api_keys.c.id).limit(limit), ApiKey)


async def operates(connection: AsyncConnection, person_id: str) -> bool:
    """Whether a person has, or had, a key of an operator or an admin."""
    statement = select(api_keys).where(api_keys.c.person_id == person_id, api_keys.c.role != KeyRole.PERSON.value)
    return await select_one(connection, statement.limit(1), ApiKey) is not None


async def replace_key(connection: AsyncConnection, old: ApiKey, new: ApiKey, overlap_s: float) -> ApiKey:
    """Add the successor of a key, beside which the old one works for another `overlap_s`; give the old one as it is now."""
    await insert_key(connection, new)
    end_s = new.created_at_s + overlap_s
    ends_at_s = end_s if old.expires_at_s is None else min(old.expires_at_s, end_s)
    values = {"rotated_at_s": new.created_at_s, "replaced_by": new.id, "expires_at_s": ends_at_s}
    await connection.execute(update(api_keys).where(api_keys.c.sha256 == old.sha256).values(**values))
    return msgspec.structs.replace(old, **values)


async def revoke_key(connection: AsyncConnection, id: str, at_s: float) -> ApiKey:
    """End a key at once; one that is ended already stays as it was. LookupError if there is none."""
    unended = (api_keys.c.id == id) & api_keys.c.revoked_at_s.is_(None)
    await connection.execute(update(api_keys).where(unended).values(revoked_at_s=at_s))
    return await select_key(connection, id)


async def note_uses(connection: AsyncConnection, used_at_s: Mapping[str, float]) -> None:
    """Keep when keys were last used: SHA-256 → time."""
    for sha256, at_s in used_at_s.items():
        await connection.execute(update(api_keys).where(api_keys.c.sha256 == sha256).values(last_used_at_s=at_s))
