"""Every request from its beginning to its end: named, counted, and where the settings say so, told of in the log."""

from __future__ import annotations

import logging
import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.telemetry.instruments import Instruments
from service.telemetry.logs import name_request

logger = logging.getLogger(__name__)
LEFT = 499  # in place of a status where the client left before there was one
NOWHERE = "none"  # in place of a route where there is none
REQUEST_ID = b"x-request-id"


class WatchedRequests:
    """An ASGI application around another. Answers say the request's id, by which the log tells of it, in `x-request-id`."""

    def __init__(self, app: ASGIApp, instruments: Instruments, log: bool) -> None:
        self._app, self._instruments, self._log = app, instruments, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            return await self._app(scope, receive, send)
        name, status, began = name_request(), LEFT, time.perf_counter()

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID, name.id.encode())]
            await send(message)

        method, watch = scope["method"], self._instruments
        with watch.metrics.request() as count, watch.tracing.request(method, scope["headers"]) as trace:
            try:
                await self._app(scope, receive, tell)
            finally:
                route = scope.get("path_template") or NOWHERE
                count(method, route, status)
                trace(route, status)
                if self._log:
                    took_ms = round((time.perf_counter() - began) * 1000, 3)
                    told = {"method": method, "route": route, "status": status, "took_ms": took_ms}
                    logger.info("%s %s: %d after %.1f ms", method, route, status, took_ms, extra=told)
