"""How long the body of a request may take to come: who sends it a byte at a time would keep a place for ever."""

from __future__ import annotations

import asyncio

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send, WebSocketReceiveMessage

from service.problem import Problem


class BodyTimeout(ASGIMiddleware):
    """Raises `request_timeout` where a request is read whose body is not whole `seconds` after it was first read from."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        deadline: float | None = None
        whole = False

        async def receive_in_time() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal deadline, whole
            if whole:
                return await receive()
            deadline = deadline or asyncio.get_running_loop().time() + self._seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Problem("request_timeout", f"the request was not whole within {self._seconds:g} s") from None
            whole = not message.get("more_body", False)
            return message

        await next_app(scope, receive_in_time, send)
