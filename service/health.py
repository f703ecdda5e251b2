"""Whether the service lives, and whether people can be answered."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency
from msgspec import Struct

from service.chat import Chat
from service.fleet import Fleet
from service.supervisor import EngineState


class Readiness(Struct, frozen=True):
    """`waiting_for` names what people cannot be answered without, which has been going on for `since_s`.

    `took_s` has the stages of the engine's start that are over, in order, and `detail` why it does not come up.
    """

    ready: bool
    waiting_for: str | None = None
    since_s: float = 0.0
    detail: str | None = None
    took_s: dict[str, float] = {}


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


HANDLERS = [live, ready]
