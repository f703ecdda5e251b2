"""Who is asking. Ownership itself sits in the queries; here only the asker is named.

* `Authorization: Bearer rt_…`: a key given out by an operator; an unknown one is refused.
* any other bearer key, on an open (loopback) service: whoever holds the same key is the same person.
* the chat page's cookie: a random secret, set when the page is loaded.
* `/api`: the operator's key, written to `<home>/operator.key` when the home is made.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler

from service.config import OPERATOR_KEY_FILE
from service.problem import Problem
from storage import people
from storage.database import Database
from storage.records import Person

COOKIE = "ratchet_person"
COOKIE_AGE_S = 400 * 24 * 3600
KEY_PREFIX = "rt_"


def sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def new_key() -> str:
    """A key of 256 random bits: so many that a plain hash of it may be stored."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def new_cookie() -> Cookie:
    return Cookie(key=COOKIE, value=secrets.token_urlsafe(32), max_age=COOKIE_AGE_S, httponly=True, samesite="strict")


def operator_key(home: Path) -> str:
    """The operator's key of this home, made on first use, readable by the owner alone."""
    file = home / OPERATOR_KEY_FILE
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(new_key())
    return file.read_text().strip()


class Gatekeeper:
    """Names the person behind a request, and lets operators through."""

    def __init__(self, database: Database, operator_key: str) -> None:
        self._database = database
        self._operator_sha256 = sha256(operator_key)
        self._by_key: dict[str, Person] = {}

    async def person(self, request: Request) -> Person:  # type: ignore[type-arg]
        """The asker, who may not be in the database yet. Raises `not_authenticated`."""
        key = _bearer(request)
        if key is None:
            cookie = request.cookies.get(COOKIE)
            if not cookie:
                raise Problem("not_authenticated", "no key: send `Authorization: Bearer <your key>`, or load the chat page at /")
            return _person_of("cookie", cookie)
        if not key.startswith(KEY_PREFIX):
            return _person_of("key", key)
        digest = sha256(key)
        if digest not in self._by_key:
            found = await self._database.read(lambda connection: people.select_person_by_key(connection, digest))
            if found is None:
                raise Problem("not_authenticated", f"the key {key[:6]}… is not known here")
            self._by_key[digest] = found
        return self._by_key[digest]

    def forget(self, person_id: str) -> None:
        """Lets the keys of a person who is forgotten in no more."""
        self._by_key = {digest: person for digest, person in self._by_key.items() if person.id != person_id}

    def operator(self, connection: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        """A guard: lets only the operator's key pass."""
        key = _bearer(connection)
        if key is None:
            raise Problem("not_authenticated", f"no operator key: send the one in <home>/{OPERATOR_KEY_FILE} as a bearer key")
        if not hmac.compare_digest(sha256(key), self._operator_sha256):
            raise Problem("not_allowed", "this key is not the operator's")


def _person_of(kind: str, secret: str) -> Person:
    return Person(f"person-{sha256(f'{kind}:{secret}')[:24]}", kind, 0.0)


def _bearer(connection: ASGIConnection) -> str | None:  # type: ignore[type-arg]
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None
