"""`/api/engine`: each engine's health, and how quickly people were answered in the last hour and day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import numpy as np
from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from service.fleet import Fleet
from service.supervisor import EngineState, Supervisor
from storage import pace
from storage.database import Database
from storage.pace import Timed

HOUR_S, DAY_S = 3600.0, 86_400.0


class EngineHealth(Struct, frozen=True):
    """One engine. `running` and `waiting` are requests in it by now; None where it does not say."""

    address: str  # host:port; empty before the first start
    state: EngineState
    in_state_s: float
    restarts: int  # starts after the first
    running: int | None
    waiting: int | None
    problem: str  # why its last start or run ended, with the end of its log; empty where none did


class Quantiles(Struct, frozen=True):
    """Milliseconds within which half, 95 % and 99 % of answers were."""

    p50: float
    p95: float
    p99: float


class Pace(Struct, frozen=True):
    """Answers that were begun in the last `window_s`; times are None where there was none."""

    window_s: float
    answers: int
    answers_per_minute: float
    errors: int  # of the answers: the engine broke them off
    first_token_ms: Quantiles | None
    latency_ms: Quantiles | None  # from the question to the end of the answer


class EngineStatus(Struct, frozen=True):
    engines: list[EngineHealth]
    hour: Pace
    day: Pace


@get("/engine")
async def show_engine(
    fleet: NamedDependency[Fleet], database: NamedDependency[Database], clock: NamedDependency[Callable[[], float]]
) -> EngineStatus:
    """Each engine's state, and the pace of answers: from the newest 20,000 messages, where a day has more of them."""
    now_s = clock()
    engines = await asyncio.gather(*(_health(supervisor) for supervisor in fleet.supervisors))
    timed = await database.read(lambda connection: pace.select_timed(connection, now_s - DAY_S))
    hour = [one for one in timed if one.created_at_s >= now_s - HOUR_S]
    return EngineStatus(engines, _pace(hour, HOUR_S), _pace(timed, DAY_S))


async def _health(supervisor: Supervisor) -> EngineHealth:
    progress = await supervisor.progress() if supervisor.url else None
    running, waiting = (progress.running - progress.waiting, progress.waiting) if progress else (None, None)
    return EngineHealth(
        urlsplit(supervisor.url).netloc,
        supervisor.state,
        supervisor.in_state_s,
        supervisor.restarts,
        running,
        waiting,
        supervisor.problem,
    )


def _pace(timed: Sequence[Timed], window_s: float) -> Pace:
    whole = [one for one in timed if not one.failed]
    return Pace(
        window_s,
        len(timed),
        len(timed) / (window_s / 60),
        len(timed) - len(whole),
        _quantiles([one.first_token_ms for one in whole if one.first_token_ms is not None]),
        _quantiles([one.latency_ms for one in whole if one.latency_ms is not None]),
    )


def _quantiles(values: Sequence[float]) -> Quantiles | None:
    return Quantiles(*map(float, np.percentile(values, (50, 95, 99)))) if values else None


HANDLERS = [show_engine]
