"""Who is asking, and what they may do. Ownership itself sits in the queries; here only the asker is named.

* `Authorization: Bearer rt_…`: a key of this service, a person's, an operator's or an admin's; one that is unknown, revoked or
  over is refused. The admin's that the home came with is in no table (`home_key`).
* any other bearer key, in mode "open": whoever holds the same key is the same person.
* a browser's session, opened with a key (`session`), or in mode "open" its cookie, set when the chat page is loaded.
* in mode "proxy": the name that a trusted single-sign-on proxy gives.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.config import OPERATOR_KEY_FILE, AuthSettings
from service.cookies import PERSON, SESSION, Cookies
from service.home_key import KEY_PREFIX, SHOWN_CHARACTERS, sha256
from service.problem import Problem
from storage import keys, sessions
from storage.database import Database, UnavailableError
from storage.records import ApiKey, KeyRole, Person, Session

T = TypeVar("T")
Connection = ASGIConnection[Any, Any, Any, Any]
ASKER = "asker"  # in a request's state
SESSION_PATH = "/v1/session"
KNOWN_S = 5.0  # for which what is known of a key is not looked up again: then another service's word on it counts
RANK = (KeyRole.PERSON, KeyRole.OPERATOR, KeyRole.ADMIN)


class Asker(Struct, frozen=True):
    """`key` is none for the home's own, for a browser's cookie and for who comes through a proxy; nor where any name will do."""

    person: Person
    role: KeyRole = KeyRole.PERSON
    key: ApiKey | None = None
    key_sha256: str | None = None  # of the key that was shown, the home's included
    ambient: bool = False  # known by what a browser sends by itself, whoever makes it send

    @property
    def actor(self) -> str:
        """Who did it, for the audit: an operator by their key, or as whom a proxy named; "operator" is the home's own key."""
        if self.role is KeyRole.PERSON:
            return "person"
        if self.key is not None:
            return f"{self.role.value}:{self.key.id}"
        return "operator" if self.key_sha256 is not None else self.person.id

    @property
    def is_session(self) -> bool:
        """Whether a browser that came in with a key asks."""
        return self.ambient and self.key_sha256 is not None

    def may(self, role: KeyRole) -> bool:
        """Whether what is there for a role is for this asker too."""
        return RANK.index(self.role) >= RANK.index(role)


def asker_of(request: Connection) -> Asker:
    """Who asks. Raises `not_authenticated` for nobody."""
    asker: Asker | None = request.scope["state"].get(ASKER)
    if asker is None:
        raise nobody(request.scope["path"])
    return asker


def actor_of(request: Request[Any, Any, Any]) -> str:
    """Who it is, for the audit."""
    return asker_of(request).actor


def nobody(path: str) -> Problem:
    if path.startswith("/api/"):
        return Problem("not_authenticated", f"no operator key: send one, like that in <home>/{OPERATOR_KEY_FILE}, as a bearer key")
    return Problem("not_authenticated", "no key: send `Authorization: Bearer <your key>`, or load the chat page at /")


def operators_only(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: lets operators and admins pass."""
    if not asker_of(connection).may(KeyRole.OPERATOR):
        raise Problem("not_allowed", "this key is not an operator's")


class Gatekeeper:
    """Names the asker behind a request."""

    def __init__(
        self,
        database: Database,
        home_key: str,
        settings: AuthSettings,
        cookies: Cookies,
        clock: Callable[[], float],
        known_s: float = KNOWN_S,
    ) -> None:
        self._database, self._settings, self._cookies, self._clock = database, settings, cookies, clock
        self._home_sha256, self._known_s = sha256(home_key), known_s
        self._trusted = [ip_network(address) for address in settings.trusted_proxies]
        self._keys: dict[str, tuple[float, tuple[ApiKey, Person]]] = {}  # with when they were looked up, by the monotonic clock
        self._sessions: dict[str, tuple[float, Session]] = {}
        self._used_at_s: dict[str, float] = {}

    async def identify(self, connection: Connection) -> Asker | None:
        """The asker, who may not be in the database yet; none for nobody. Raises `not_authenticated` for what is not known."""
        path = connection.scope["path"]
        if (bearer := _bearer(connection)) is not None:
            return await self._of_bearer(bearer)
        if (named := self._named_by_proxy(connection)) is not None:
            return named
        if self._settings.mode == "open" and path.startswith("/v1/") and path != SESSION_PATH:
            secret = self._cookies.read(connection.cookies, PERSON)
            if secret is not None:
                return Asker(person_of("cookie", secret), ambient=True)
        secret = self._cookies.read(connection.cookies, SESSION)
        return await self._of_session(secret) if secret is not None else None

    async def of_key(self, key: str) -> Asker:
        """The holder of one of this service's keys. Raises `not_authenticated`."""
        asker = await self._of_sha256(sha256(key)) if key.startswith(KEY_PREFIX) else None
        if asker is None:
            raise Problem("not_authenticated", f"the key {key[:SHOWN_CHARACTERS]}… is not, or no longer, good here")
        return asker

    def forget(self, person_id: str) -> None:
        """Lets the keys of a person who is forgotten in no more."""
        for digest in [digest for digest, (_, (_, person)) in self._keys.items() if person.id == person_id]:
            self.drop(digest)

    def drop(self, key_sha256: str) -> None:
        """Has a key, and the sessions opened with it, looked up again at their next use."""
        self._keys.pop(key_sha256, None)
        self._sessions = {name: kept for name, kept in self._sessions.items() if kept[1].key_sha256 != key_sha256}

    def drop_session(self, session_sha256: str) -> None:
        self._sessions.pop(session_sha256, None)

    async def keep_uses(self) -> None:
        """Keeps when keys were used since this was last done."""
        used_at_s, self._used_at_s = self._used_at_s, {}
        if used_at_s:
            with suppress(UnavailableError):  # it is of no weight
                await self._database.write(lambda connection: keys.note_uses(connection, used_at_s))

    async def _of_bearer(self, key: str) -> Asker:
        if key.startswith(KEY_PREFIX):
            return await self.of_key(key)
        if self._settings.mode != "open":
            raise Problem(
                "not_authenticated", f"the key {key[:SHOWN_CHARACTERS]}… is none of this service: they begin with {KEY_PREFIX!r}"
            )
        return Asker(person_of("key", key))

    async def _of_sha256(self, digest: str) -> Asker | None:
        if hmac.compare_digest(digest, self._home_sha256):
            return Asker(person_of("home", digest), KeyRole.ADMIN, key_sha256=digest)
        known = await self._look_up(self._keys, digest, keys.select_known)
        if known is None or is_over(known[0], self._clock()):
            return None
        key, person = known
        self._used_at_s[digest] = self._clock()
        return Asker(person, key.role, key, digest)

    async def _of_session(self, secret: str) -> Asker | None:
        """None for a session that is over: its browser is nobody, as before it came in."""
        session = await self._look_up(self._sessions, sha256(secret), sessions.select_session)
        if session is None or session.expires_at_s <= self._clock():
            return None
        asker = await self._of_sha256(session.key_sha256)
        return None if asker is None else _ambient(asker)

    async def _look_up(
        self, known: dict[str, tuple[float, T]], digest: str, select: Callable[[AsyncConnection, str], Awaitable[T | None]]
    ) -> T | None:
        """What the database says, or said at most `known_s` ago; longer ago only where it says nothing at all."""
        before = known.get(digest)
        if before is not None and time.monotonic() - before[0] < self._known_s:
            return before[1]
        try:
            found = await self._database.read(lambda connection: select(connection, digest))
        except UnavailableError:
            if before is None:
                raise
            return before[1]
        if found is None:
            known.pop(digest, None)
        else:
            known[digest] = (time.monotonic(), found)
        return found

    def _named_by_proxy(self, connection: Connection) -> Asker | None:
        """Who a proxy says asks, where it is one that is trusted; a header of anybody else's counts for nothing."""
        if self._settings.mode != "proxy" or connection.client is None:
            return None
        name = connection.headers.get(self._settings.proxy_header, "").strip()
        address = ip_address(connection.client.host)
        if not name or not any(address in network for network in self._trusted):
            return None
        role = KeyRole.PERSON
        if name in self._settings.admins:
            role = KeyRole.ADMIN
        elif name in self._settings.operators:
            role = KeyRole.OPERATOR
        return Asker(person_of("proxy", name, name), role, ambient=True)


def is_over(key: ApiKey, now_s: float) -> bool:
    """Whether a key lets nobody in any more."""
    return key.revoked_at_s is not None or (key.expires_at_s is not None and key.expires_at_s <= now_s)


def person_of(kind: str, secret: str, name: str = "") -> Person:
    """Who is known by a secret, or a name, alone: the same one is the same person."""
    return Person(f"person-{sha256(f'{kind}:{secret}')[:24]}", name or kind, 0.0)


def _ambient(asker: Asker) -> Asker:
    return Asker(asker.person, asker.role, asker.key, asker.key_sha256, ambient=True)


def _bearer(connection: Connection) -> str | None:
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None
