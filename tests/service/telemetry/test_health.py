"""Readiness and liveness mean it: what is broken is named, and comes back by itself where it can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.health import Health
from service.supervisor import EngineState
from service.telemetry.settings import HealthSettings
from storage.database import Database
from tests.conftest import Service
from tests.service.telemetry.watched import fetch, figure, figures, until, watched_service

Body = Callable[[Health, Database], Awaitable[None]]


def readiness(service: Service) -> tuple[int, dict[str, Any]]:
    status, told, _ = fetch(service, "/health/ready")
    return status, msgspec.json.decode(told)


def test_a_full_disk_is_told_and_got_over(tmp_path: Path) -> None:
    with watched_service(tmp_path) as (service, _):
        health = service.parts.health
        assert readiness(service)[0] == 200
        well = health._settings
        health._settings = HealthSettings(check_every_s=0.05, min_free_bytes=2**62)
        until(lambda: readiness(service)[0] == 503)
        told = readiness(service)[1]
        assert told["waiting_for"] == "disk" and f"expected at least {2**62}" in told["detail"]
        found = figures(service)
        assert figure(found, "ratchet_ready") == figure(found, "ratchet_healthy", part="disk") == 0
        assert figure(found, "ratchet_healthy", part="database") == 1
        health._settings = well
        until(lambda: readiness(service)[0] == 200)


def test_a_service_that_cannot_go_on_says_so(tmp_path: Path) -> None:
    async def fails() -> None:
        raise RuntimeError("worn out")

    with watched_service(tmp_path) as (service, _):
        assert fetch(service, "/health/live")[:2] == (200, b'{"live":true,"detail":null}')

        async def break_down() -> None:
            task = asyncio.create_task(fails(), name="the mill")
            service.parts.health.tasks.append(task)
            await asyncio.wait([task])
            task.exception()

        service.call(break_down())
        assert fetch(service, "/health/live")[:2] == (503, b'{"live":false,"detail":"the mill ended"}')


def judge(tmp_path: Path, state: EngineState, body: Body, settings: HealthSettings | None = None) -> None:
    """Runs the body on the health of a service whose engine is in this state."""

    async def run() -> None:
        database = await Database.open(tmp_path / "db")
        fleet: Any = SimpleNamespace(state=state, problem="")
        try:
            await body(Health(database, fleet, tmp_path, settings or HealthSettings(), lambda: False), database)
        finally:
            await database.close()

    asyncio.run(run())


def test_a_database_that_does_not_answer_is_asked_once(tmp_path: Path) -> None:
    asked = 0

    async def body(health: Health, database: Database) -> None:
        answer = asyncio.Event()

        async def read(_: Callable[[AsyncConnection], Awaitable[None]]) -> None:
            nonlocal asked
            asked += 1
            await answer.wait()

        database.read = read  # type: ignore[method-assign, assignment]
        for _ in range(3):
            await health.look()
            assert health.problems == {"database": "it has not answered for 0.01 s"} and not health.ready
        assert asked == 1
        answer.set()
        await asyncio.sleep(0)
        await health.look()
        assert health.ready

    judge(tmp_path, EngineState.READY, body, HealthSettings(timeout_s=0.01))


def test_nobody_is_ready_without_an_engine_or_once_it_ends(tmp_path: Path) -> None:
    async def body(health: Health, database: Database) -> None:
        await health.look()
        assert health.problems == {"engine": "it is starting"} and not health.ready and health.ended is None
        await database.close()
        assert health.ended == "nobody writes to the database any more"

    judge(tmp_path, EngineState.STARTING, body)
