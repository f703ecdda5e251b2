"""Of several engines under supervision: ready while any is, and none comes back without what the others have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from learner.engine import EngineError
from learner.engines import Engines
from service.fleet import Fleet
from service.settings import EngineSettings
from service.supervisor import EngineState
from tests.learner.scripted import Scripted, chat_body, folder

SOON = EngineSettings(hang_timeout_s=1, watch_interval_s=0.05, start_timeout_s=5)
Test = Callable[[Fleet, Engines, list[Scripted]], Awaitable[None]]


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


def with_fleet(tmp_path: Path, test: Test, settings: EngineSettings = SOON) -> None:
    """Two engines of somebody else's, watched; base and r1 are what they must have."""
    folders = [(name, folder(tmp_path, name)) for name in ("base", "r1")]

    async def adapters() -> Sequence[tuple[str, Path]]:
        return folders

    async def run() -> None:
        scripted, pool = [Scripted(), Scripted()], Engines()
        async with AsyncExitStack() as opened:
            for engine in scripted:
                await engine.start()
                opened.push_async_callback(engine.die)
            urls = tuple(engine.url for engine in scripted)
            fleet = Fleet(msgspec.structs.replace(settings, urls=urls), Path(), tmp_path / "run", adapters, pool)
            await opened.enter_async_context(pool)
            await fleet.start()
            opened.push_async_callback(fleet.stop)
            await test(fleet, pool, scripted)

    asyncio.run(run())


def test_one_engine_dies_and_comes_back_with_everything_while_the_other_answers(tmp_path: Path) -> None:
    async def test(fleet: Fleet, pool: Engines, engines: list[Scripted]) -> None:
        await until(lambda: len(pool.urls) == 2)
        await engines[1].die()
        await until(lambda: pool.urls == [engines[0].url])
        assert fleet.state is EngineState.READY
        assert (await pool.complete(chat_body("hello") | {"stream": False}, "r")).model == "base"
        await pool.load("r2", folder(tmp_path, "r2"))
        await engines[1].start()
        await until(lambda: len(pool.urls) == 2)
        assert list(engines[1].loaded) == ["base", "r1", "r2"] and fleet.restarts >= 1
        assert fleet.urls == [engine.url for engine in engines]

    with_fleet(tmp_path, test)


def test_an_engine_that_hangs_leaves_the_pool_until_it_answers_again(tmp_path: Path) -> None:
    async def test(fleet: Fleet, pool: Engines, engines: list[Scripted]) -> None:
        await until(lambda: len(pool.urls) == 2)
        engines[1].hangs = True
        await until(lambda: pool.urls == [engines[0].url])
        await asyncio.sleep(0.8)  # longer than the pause before it is tried again
        assert pool.urls == [engines[0].url] and fleet.state is EngineState.READY
        engines[1].hangs = False
        await until(lambda: len(pool.urls) == 2)

    with_fleet(tmp_path, test)


def test_a_fleet_is_ready_with_one_engine_that_can_be_had_and_not_without(tmp_path: Path) -> None:
    async def test(fleet: Fleet, pool: Engines, engines: list[Scripted]) -> None:
        await engines[0].die()
        await fleet.wait_ready(10)
        await until(lambda: pool.urls == [engines[1].url])
        await engines[1].die()
        await until(lambda: fleet.state is not EngineState.READY)
        with pytest.raises(EngineError) as raised:
            await fleet.wait_ready(0.1)
        assert raised.value.status == 503

    with_fleet(tmp_path, test)


def test_an_engine_of_the_services_own_is_the_only_one(tmp_path: Path) -> None:
    async def none() -> Sequence[tuple[str, Path]]:
        return []

    fleet = Fleet(EngineSettings(), Path(), tmp_path, none, Engines())
    assert len(fleet.supervisors) == 1 and fleet.state is EngineState.STOPPED


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('urls = ["http://a:1", "http://a:1/"]', "expected each engine once"),
        ('router = "http://a:1"', "expected the engines behind the router"),
    ],
)
def test_settings_that_name_no_proper_engines_are_refused(wrong: str, said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.toml.decode(wrong, type=EngineSettings)
