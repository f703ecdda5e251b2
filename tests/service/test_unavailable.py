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
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.config import Config
from storage import feedback, keys
from storage.connect import database_url, open_for_migration
from storage.database import UnavailableError
from storage.records import ApiKey, new_id
from tests.conftest import Service, run_service
from tests.databases import Place

pytestmark = pytest.mark.engine
WAITING = 3


@pytest.fixture
def narrow(home: Path, config: Config) -> Iterator[Service]:
    """A service whose queue of writes is short."""
    storage = msgspec.structs.replace(config.storage, max_waiting_writes=WAITING)
    with run_service(home, msgspec.structs.replace(config, storage=storage)) as running:
        yield running


@contextmanager
def held_writer(service: Service, place: Place) -> Iterator[None]:
    """Inside, the one writer waits for a stranger's transaction, and its queue is full."""

    async def touch(connection: AsyncConnection) -> None:
        await keys.insert_key(connection, ApiKey(new_id("key"), "nobody", 0.0, new_id("key")))

    async def fill() -> list[asyncio.Task[None]]:
        waiting: list[asyncio.Task[None]] = []
        while True:
            task = asyncio.create_task(service.parts.database.write(touch))
            await asyncio.sleep(0.02)
            if task.done():
                assert isinstance(task.exception(), UnavailableError)
                return waiting
            waiting.append(task)

    async def finish(waiting: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*waiting, return_exceptions=True)

    engine = open_for_migration(database_url(service.home / "ratchet.db" if isinstance(place, Path) else place))
    with engine.connect() as stranger:
        stranger.begin()  # on SQLite that is enough to keep others from writing
        if engine.dialect.name == "postgresql":
            stranger.execute(text("LOCK TABLE api_keys IN EXCLUSIVE MODE"))
        waiting = service.call(fill())
        yield
        stranger.rollback()
    service.call(finish(waiting))
    engine.dispose()


def test_a_full_queue_is_said_at_once_and_nothing_is_half_kept(narrow: Service, place: Place) -> None:
    answer = narrow.chat("Hello", max_tokens=4)
    vote = {"completion_id": answer["id"], "thumb": "up"}
    question = {"model": "ratchet", "messages": [{"role": "user", "content": "Hello"}]}
    with held_writer(narrow, place):
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
