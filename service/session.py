"""`/v1/session`: a browser comes in with a key, once, and goes on by a cookie that scripts cannot read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from service.auth import SESSION_PATH, Asker, Gatekeeper, asker_of
from service.config import Config
from service.cookies import SESSION, Cookies, new_secret
from service.home_key import sha256
from storage import sessions
from storage.database import Database
from storage.records import KeyRole, Session


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    key: str


class SignedIn(Struct, frozen=True):
    """Who somebody is here."""

    person_id: str
    name: str
    role: KeyRole


@post(SESSION_PATH, status_code=201)
async def open_session(
    data: JSONBody[SignIn],
    database: NamedDependency[Database],
    gatekeeper: NamedDependency[Gatekeeper],
    jar: NamedDependency[Cookies],
    config: NamedDependency[Config],
    clock: NamedDependency[Callable[[], float]],
) -> Response[SignedIn]:
    """Opens a session for a key, and sets its cookie."""
    asker, secret, now_s = await gatekeeper.of_key(data.key.strip()), new_secret(), clock()
    assert asker.key_sha256 is not None
    age_s = config.auth.session_s
    session = Session(sha256(secret), asker.key_sha256, asker.person.id, now_s, now_s + age_s)
    await database.write(lambda connection: sessions.insert_session(connection, session))
    return Response(_signed_in(asker), cookies=[jar.session(secret, age_s)])


@get(SESSION_PATH)
async def show_session(request: Request[Any, Any, Any]) -> SignedIn:
    """Who the asker is: by their session, their key, or their proxy."""
    return _signed_in(asker_of(request))


@delete(SESSION_PATH, status_code=200)
async def close_session(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    gatekeeper: NamedDependency[Gatekeeper],
    jar: NamedDependency[Cookies],
) -> Response[dict[str, bool]]:
    """Ends the browser's session; without one there is nothing to end."""
    secret = jar.read(request.cookies, SESSION)
    if secret is not None:
        await database.write(lambda connection: sessions.delete_session(connection, sha256(secret)))
        gatekeeper.drop_session(sha256(secret))
    return Response({"ended": secret is not None}, cookies=[jar.gone(SESSION)])


def _signed_in(asker: Asker) -> SignedIn:
    return SignedIn(asker.person.id, asker.person.name, asker.role)


HANDLERS = [open_session, show_session, close_session]
