"""What every request passes first: is it meant for this service, who asks, did they mean to, and is their key for this."""

from __future__ import annotations

from collections.abc import Callable

from litestar.connection import ASGIConnection
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from service.auth import ASKER, SESSION_PATH, Asker, Connection, Gatekeeper, nobody
from service.config import AuthSettings
from service.forgery import Hosts
from service.problem import Problem
from service.scopes import scope_of

FREE = ("/web/", "/health")  # the same for everybody, so that nobody is asked who they are
ANYBODYS = ("/v1/models", "/v1/feedback/reasons")  # in mode "open": what pages and programs show before they know who asks
HEALTH = "/health"  # asked by address, by those who watch machines


class Admission(ASGIMiddleware):
    """Leaves the asker in the request's state, for `asker_of`. Raises `Problem`."""

    def __init__(self, gatekeeper: Callable[[], Gatekeeper], hosts: Hosts, settings: AuthSettings) -> None:
        self._gatekeeper, self._hosts, self._settings = gatekeeper, hosts, settings

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        path = scope["path"]
        connection: Connection = ASGIConnection(scope)
        if not path.startswith(HEALTH):
            self._hosts.check(connection.headers)
        if not path.startswith(FREE):
            scope["state"][ASKER] = await self._admit(connection, path)
        await next_app(scope, receive, send)

    async def _admit(self, connection: Connection, path: str) -> Asker | None:
        method, is_page = str(connection.scope.get("method")), not path.startswith(("/v1/", "/api/"))
        try:
            asker = await self._gatekeeper().identify(connection)
        except Problem:
            if is_page:
                return None
            raise
        if (asker is not None and asker.ambient) or path == SESSION_PATH:
            self._hosts.check_origin(method, connection.headers)
        if is_page or path == SESSION_PATH:
            return asker
        if asker is None:
            if path not in ANYBODYS or self._settings.mode != "open":
                raise nobody(path)
        elif asker.key is not None and asker.key.scopes and (needed := scope_of(method, path)) not in asker.key.scopes:
            raise Problem("not_allowed", f"this key is for {', '.join(asker.key.scopes)}; this needs {needed}")
        return asker
