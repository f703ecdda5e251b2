"""`/api/keys`: keys of people, operators and admins: who has which, made, rotated with an overlap, and revoked.

An operator makes and ends keys of people; those of operators and admins are an admin's. A key is shown once, when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth import Asker, Gatekeeper, is_over
from service.config import Config
from service.home_key import SHOWN_CHARACTERS, new_key, sha256
from service.paging import LIMIT, After, Limit, Page, page
from service.problem import Problem
from service.scopes import check_scopes
from service.wire import NO_NUL
from storage import audit, keys, people, sessions
from storage.database import Database
from storage.records import ApiKey, KeyRole, Person, new_id

Label = Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]
Text = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
State = Literal["good", "rotated", "over", "revoked"]
Span = Annotated[float, Meta(gt=0, le=1e10)]


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """`person_id` is who gets it: somebody new, named like the label, where it is not said. `scopes`: all of the role's where
    none is named."""

    label: Label
    role: KeyRole = KeyRole.PERSON
    person_id: Text = ""
    scopes: Annotated[list[str], Meta(max_length=10)] = []
    expires_in_s: Span | None = None


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    """`overlap_s` is how long the old key works on; as the settings have it where it is not said."""

    overlap_s: Annotated[float, Meta(ge=0, le=1e10)] | None = None


class KeyCard(Struct, frozen=True):
    """A key, but for the key itself."""

    id: str
    prefix: str
    label: str
    role: KeyRole
    scopes: tuple[str, ...]
    person_id: str
    state: State
    created_at_s: float
    expires_at_s: float | None
    last_used_at_s: float | None
    rotated_at_s: float | None
    replaced_by: str | None
    revoked_at_s: float | None


class MadeKey(Struct, frozen=True):
    """The key is shown this once."""

    key: str
    card: KeyCard


@get("/keys")
async def list_keys(
    database: NamedDependency[Database],
    clock: NamedDependency[Callable[[], float]],
    after: After = None,
    limit: Limit = LIMIT,
    person: FromQuery[str] = "",
) -> Page[KeyCard]:
    """All keys, or those of one person, newest first. The one that the home came with is not among them."""

    async def look(connection: AsyncConnection) -> list[ApiKey]:
        return await keys.select_keys(connection, limit + 1, after, person)

    try:
        found = await database.read(look)
    except LookupError as error:
        raise _missing(error, "after") from error
    return page([_card(key, clock()) for key in found], limit)


@post("/keys", status_code=201)
async def create_key(
    data: JSONBody[NewKey],
    asker: NamedDependency[Asker],
    database: NamedDependency[Database],
    clock: NamedDependency[Callable[[], float]],
) -> MadeKey:
    """A new key, for somebody who is here or somebody new."""
    now_s = clock()
    check_scopes(data.scopes)
    _check_may(asker, data.role)
    expires_at_s = None if data.expires_in_s is None else now_s + data.expires_in_s
    owner = data.person_id or new_id("person")
    made, key = make_key(owner, now_s, data.label, data.role, tuple(data.scopes), expires_at_s)

    async def insert(connection: AsyncConnection) -> None:
        if not data.person_id:
            await people.insert_person(connection, Person(owner, data.label, now_s))
        elif await people.select_person(connection, owner) is None:
            raise Problem("not_found", f"there is no person {owner!r}", "person_id")
        await keys.insert_key(connection, made)
        await audit.insert_audit(connection, asker.actor, "key.create", made.id, made.role.value, now_s)

    await database.write(insert)
    return MadeKey(key, _card(made, now_s))


@post("/keys/{key_id:str}/rotate", status_code=201)
async def rotate_key(
    key_id: FromPath[str],
    asker: NamedDependency[Asker],
    database: NamedDependency[Database],
    gatekeeper: NamedDependency[Gatekeeper],
    config: NamedDependency[Config],
    clock: NamedDependency[Callable[[], float]],
    data: JSONBody[Rotation | None] = None,
) -> MadeKey:
    """A successor with the same role and scopes. The old key works beside it for a while, and then no more."""
    now_s, key = clock(), new_key()
    said = (data or Rotation()).overlap_s
    overlap_s = config.auth.rotation_overlap_s if said is None else said

    async def rotate(connection: AsyncConnection) -> tuple[ApiKey, ApiKey]:
        old = await _find(connection, asker, key_id)
        if is_over(old, now_s) or old.replaced_by is not None:
            raise Problem("conflict", f"{key_id} is {_state(old, now_s)}: expected a key that is good", "key_id")
        made, _ = make_key(old.person_id, now_s, old.label, old.role, old.scopes, _lifetime(old, now_s), key)
        old = await keys.replace_key(connection, old, made, overlap_s)
        await audit.insert_audit(connection, asker.actor, "key.rotate", old.id, f"by {made.id}", now_s)
        return old, made

    old, made = await database.write(rotate)
    gatekeeper.drop(old.sha256)
    return MadeKey(key, _card(made, now_s))


@post("/keys/{key_id:str}/revoke", status_code=200)
async def revoke_key(
    key_id: FromPath[str],
    asker: NamedDependency[Asker],
    database: NamedDependency[Database],
    gatekeeper: NamedDependency[Gatekeeper],
    clock: NamedDependency[Callable[[], float]],
) -> KeyCard:
    """Ends a key and the sessions opened with it at once; other services on the same database know within seconds."""
    now_s = clock()

    async def revoke(connection: AsyncConnection) -> ApiKey:
        await _find(connection, asker, key_id)
        revoked = await keys.revoke_key(connection, key_id, now_s)
        await sessions.delete_sessions_of_key(connection, revoked.sha256)
        await audit.insert_audit(connection, asker.actor, "key.revoke", key_id, "", now_s)
        return revoked

    revoked = await database.write(revoke)
    gatekeeper.drop(revoked.sha256)
    return _card(revoked, now_s)


def make_key(
    person_id: str,
    now_s: float,
    label: str = "",
    role: KeyRole = KeyRole.PERSON,
    scopes: tuple[str, ...] = (),
    expires_at_s: float | None = None,
    key: str | None = None,
) -> tuple[ApiKey, str]:
    """What is kept of a new key, and the key itself."""
    key = key or new_key()
    prefix = key[:SHOWN_CHARACTERS]
    return ApiKey(sha256(key), person_id, now_s, new_id("key"), prefix, label, role, scopes, expires_at_s), key


async def _find(connection: AsyncConnection, asker: Asker, id: str) -> ApiKey:
    """The key, where the asker may end it."""
    try:
        found = await keys.select_key(connection, id)
    except LookupError as error:
        raise _missing(error, "key_id") from error
    _check_may(asker, found.role)
    return found


def _check_may(asker: Asker, role: KeyRole) -> None:
    if role is not KeyRole.PERSON and not asker.may(KeyRole.ADMIN):
        raise Problem(
            "not_allowed", f"this key is an {asker.role.value}'s: keys of {role.value}s are an admin's to make and to end"
        )


def _missing(error: LookupError, param: str) -> Problem:
    return Problem("not_found", f"there is {error}", param)


def _lifetime(old: ApiKey, now_s: float) -> float | None:
    """A successor lasts as long as the old key was to."""
    return None if old.expires_at_s is None else now_s + old.expires_at_s - old.created_at_s


def _state(key: ApiKey, now_s: float) -> State:
    if key.revoked_at_s is not None:
        return "revoked"
    if is_over(key, now_s):
        return "over"
    return "good" if key.replaced_by is None else "rotated"


def _card(key: ApiKey, now_s: float) -> KeyCard:
    return KeyCard(
        key.id,
        key.prefix,
        key.label,
        key.role,
        key.scopes,
        key.person_id,
        _state(key, now_s),
        key.created_at_s,
        key.expires_at_s,
        key.last_used_at_s,
        key.rotated_at_s,
        key.replaced_by,
        key.revoked_at_s,
    )


HANDLERS = [list_keys, create_key, rotate_key, revoke_key]
