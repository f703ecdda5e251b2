"""The chat page, its two files, and whether the service lives and is ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.static_files import create_static_files_router
from msgspec import Struct

from service.auth import COOKIE, new_cookie
from service.chat import Chat
from service.fleet import Fleet
from service.supervisor import EngineState

WEB = Path(__file__).parent / "web"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Readiness(Struct, frozen=True):
    """`waiting_for` names what people cannot be answered without, which has been going on for `since_s`.

    `took_s` has the stages of the engine's start that are over, in order, and `detail` why it does not come up.
    """

    ready: bool
    waiting_for: str | None = None
    since_s: float = 0.0
    detail: str | None = None
    took_s: dict[str, float] = {}


@get("/", media_type=MediaType.HTML)
async def chat_page(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """The chat. A browser that comes for the first time gets the cookie that names its person."""
    fresh = [] if request.cookies.get(COOKIE) else [new_cookie()]
    return Response((WEB / "chat.html").read_bytes(), media_type=MediaType.HTML, headers=HEADERS, cookies=fresh)


@get("/health/live")
async def live() -> dict[str, bool]:
    return {"live": True}


@get("/health/ready")
async def ready(fleet: NamedDependency[Fleet], chat: NamedDependency[Chat]) -> Response[Readiness]:
    """200 while people can be answered; before that 503 with what is waited for, and 503 again once the service is to end."""
    start = fleet.stages.report()
    if chat.closing:
        return Response(Readiness(False, "the end", took_s=start.took_s), status_code=503)
    if fleet.state is EngineState.READY:
        return Response(Readiness(True, took_s=start.took_s))
    detail = fleet.problem or None if fleet.state is EngineState.FAILED else None
    waiting_for = f"engine: {start.stage}" if start.stage else "engine"
    return Response(Readiness(False, waiting_for, start.since_s, detail, start.took_s), status_code=503)


HANDLERS: list[Any] = [
    chat_page,
    live,
    ready,
    create_static_files_router("/web", [WEB], cache_control=None, opt={"exclude_from_auth": True}),
]
