"""Whether the service lives, and whether people can be answered."""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from litestar import Response, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.chat import Chat
from service.fleet import Fleet
from service.supervisor import EngineState
from service.telemetry.settings import HealthSettings
from storage.database import Database

LAGS = 60  # looks that the worst lag is of
LAST_WAIT_S = 1.0  # for the database's answer, at the end


class Liveness(Struct, frozen=True):
    """`detail` says what has ended that only a new start brings back."""

    live: bool
    detail: str | None = None


class Readiness(Struct, frozen=True):
    """`waiting_for` names what people cannot be answered without, which has been going on for `since_s`.

    `took_s` has the stages of the engine's start that are over, in order, and `detail` why it does not come up.
    """

    ready: bool
    waiting_for: str | None = None
    since_s: float = 0.0
    detail: str | None = None
    took_s: dict[str, float] = {}


class Space(NamedTuple):
    """Of a disk, in bytes."""

    total: int
    free: int


class Health:
    """Looks at the database, the disk and the event loop again and again, so that whoever asks is told at once."""

    PARTS: ClassVar = ("database", "disk", "engine")

    def __init__(self, database: Database, fleet: Fleet, home: Path, settings: HealthSettings, closing: Callable[[], bool]) -> None:
        self._database, self._fleet, self._home, self._settings, self._closing = database, fleet, home, settings, closing
        self.tasks: list[asyncio.Task[Any]] = []  # that go on as long as the service does
        self.space = _space(home)
        self._found: dict[str, str] = {}
        self._lags_s: deque[float] = deque(maxlen=LAGS)
        self._asking: asyncio.Task[None] | None = None

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with which of `PARTS`; those that are well are left out."""
        state = self._fleet.state
        engine = {} if state is EngineState.READY else {"engine": self._fleet.problem or f"it is {state.value}"}
        return self._found | engine

    @property
    def ready(self) -> bool:
        return not self.problems and not self._closing()

    @property
    def ended(self) -> str | None:
        """What has ended that goes on as long as the service does; None where all goes on."""
        if not self._database.is_writing:
            return "nobody writes to the database any more"
        over = [task.get_name() for task in self.tasks if task.done() and not task.cancelled()]
        return f"{', '.join(over)} ended" if over else None

    @property
    def lag_s(self) -> float:
        """How late the event loop was at worst, of late."""
        return max(self._lags_s, default=0.0)

    async def keep(self) -> None:
        """Looks until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self.look()
            due = loop.time() + self._settings.check_every_s
            await asyncio.sleep(self._settings.check_every_s)
            self._lags_s.append(loop.time() - due)

    async def look(self) -> None:
        """Looks once."""
        found = {"database": await self._ask_database(), "disk": await asyncio.to_thread(self._measure_disk)}
        self._found = {part: problem for part, problem in found.items() if problem}

    async def stop(self) -> None:
        """Returns once nothing is asked of the database any more: whoever closes it must not meet a question."""
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=LAST_WAIT_S)
            self._asking.cancel()

    async def _ask_database(self) -> str:
        """Why nothing can be read or kept; empty where it can. A question that is not answered is not asked again meanwhile."""
        self._asking = self._asking or asyncio.create_task(self._database.read(_answer))
        done, _ = await asyncio.wait([self._asking], timeout=self._settings.timeout_s)
        if not done:
            return f"it has not answered for {self._settings.timeout_s:g} s"
        asked, self._asking = self._asking, None
        try:
            await asked
            self._database.check_available()
        except Exception as error:  # the edge of a look: whatever it is, this is what there is to tell
            return str(error) or repr(error)
        return ""

    def _measure_disk(self) -> str:
        self.space = _space(self._home)
        wanted = self._settings.min_free_bytes
        return "" if self.space.free >= wanted else f"{self.space.free} bytes are free on it, expected at least {wanted}"


async def _answer(connection: AsyncConnection) -> None:
    await connection.execute(select(1))


def _space(home: Path) -> Space:
    usage = shutil.disk_usage(home)
    return Space(usage.total, usage.free)


@get("/health/live")
async def live(health: NamedDependency[Health]) -> Response[Liveness]:
    """200 while the event loop turns, which this answer shows, and all goes on that has to; otherwise 503: start it again."""
    ended = health.ended
    return Response(Liveness(ended is None, ended), status_code=200 if ended is None else 503)


@get("/health/ready")
async def ready(health: NamedDependency[Health], fleet: NamedDependency[Fleet], chat: NamedDependency[Chat]) -> Response[Readiness]:
    """200 while people can be answered and what they say can be kept; before that 503 with what is waited for, and 503 again
    once the service is to end."""
    start, problems = fleet.stages.report(), health.problems
    if chat.closing:
        return Response(Readiness(False, "the end", took_s=start.took_s), status_code=503)
    if not problems:
        return Response(Readiness(True, took_s=start.took_s))
    part = next(part for part in Health.PARTS if part in problems)
    if part != "engine":
        return Response(Readiness(False, part, detail=problems[part], took_s=start.took_s), status_code=503)
    detail = fleet.problem or None if fleet.state is EngineState.FAILED else None
    waiting_for = f"engine: {start.stage}" if start.stage else "engine"
    return Response(Readiness(False, waiting_for, start.since_s, detail, start.took_s), status_code=503)


HANDLERS = [live, ready]
