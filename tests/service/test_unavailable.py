"""What cannot be kept is not acknowledged: 503 at once, with when to try again."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from service.config import Config
from storage import feedback, people
from tests.conftest import Service, run_service

WAITING = 3


@pytest.fixture
def narrow(home: Path, config: Config) -> Iterator[Service]:
    """A service whose queue of writes is short."""
    storage = msgspec.structs.replace(config.storage, max_waiting_writes=WAITING)
    with run_service(home, msgspec.structs.replace(config, storage=storage)) as running:
        yield running


@contextmanager
def held_writer(service: Service) -> Iterator[None]:
    """Inside, the one writer is busy and its queue is full."""
    database = service.parts.database

    async def fill() -> tuple[asyncio.Event, list[asyncio.Task[None]]]:
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def linger(connection: AsyncConnection) -> None:
            entered.set()
            await go_on.wait()

        async def nothing(connection: AsyncConnection) -> None:
            await people.select_person(connection, "nobody")

        tasks = [asyncio.create_task(database.write(linger))]
        await entered.wait()
        tasks += [asyncio.create_task(database.write(nothing)) for _ in range(WAITING)]
        await asyncio.sleep(0)
        return go_on, tasks

    async def release(go_on: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        go_on.set()
        await asyncio.gather(*tasks)

    held = service.call(fill())
    try:
        yield
    finally:
        service.call(release(*held))


def test_a_full_queue_is_said_at_once_and_nothing_is_half_kept(narrow: Service) -> None:
    answer = narrow.chat("Hello", max_tokens=4)
    vote = {"completion_id": answer["id"], "thumb": "up"}
    question = {"model": "ratchet", "messages": [{"role": "user", "content": "Hello"}]}
    with held_writer(narrow):
        for path, body in (("/v1/feedback", vote), ("/v1/chat/completions", question)):
            status, error = narrow.request("POST", path, body)
            assert status == 503 and error["error"]["code"] == "not_kept", (path, error)
        assert retry_after(narrow, "/v1/feedback", vote) > 0
    assert narrow.call(narrow.parts.database.read(feedback.latest_position)) == 0
    assert narrow.request("POST", "/v1/feedback", vote)[0] == 200
    assert narrow.chat("Hello again", max_tokens=4)["choices"]


def retry_after(service: Service, path: str, body: object) -> float:
    headers = {"Authorization": "Bearer tester", "Content-Type": "application/json"}
    asked = urllib.request.Request(service.url + path, msgspec.json.encode(body), headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=10)
    with refused.value as error:
        return float(error.headers["Retry-After"])
