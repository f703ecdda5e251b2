"""Of several engines: they are asked as one, have the same adapters, and one that fails is not missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace

import pytest

from learner import release
from learner.engine import Engine, EngineError
from learner.engines import Engines
from learner.evaluate.job import evaluate
from learner.evaluate.spec import EvaluationJob
from learner.evaluate.suite import load_suites
from learner.release import NotServed
from learner.timeouts import Timeouts
from learner.train.spec import Probe
from service.bench.tiny_model import make_tiny_model
from tests.learner.scripted import Scripted, chat_body, folder, scripted_pool
from tests.suites import make_suites

BASE = [("base", Path("/adapters/base"))]
Test = Callable[[Engines, list[Scripted]], Awaitable[None]]


def with_pool(test: Test, count: int = 2) -> None:
    async def run() -> None:
        async with scripted_pool(count) as (pool, engines):
            await test(pool, engines)

    asyncio.run(run())


async def hear(pool: Engines, text: str) -> int:
    """The frames of a streamed answer."""
    async with aclosing(pool.stream(chat_body(text), "r")) as frames:
        return len([frame async for frame in frames])


async def admit(pool: Engines, at: int, adapters: Sequence[tuple[str, Path]] = BASE) -> None:
    async def wanted() -> Sequence[tuple[str, Path]]:
        return adapters

    member = pool.members[at]
    async with Engine(member.url) as engine:
        await pool.admit(member, engine, wanted, lambda stage: None)


async def favourite(pool: Engines, engines: list[Scripted], text: str) -> tuple[int, int]:
    """The place of the engine that a prompt goes to, and of the other one."""
    await hear(pool, text)
    first = next(place for place, engine in enumerate(engines) if engine.asked)
    for engine in engines:
        engine.asked.clear()
    return first, 1 - first


def in_pool(pool: Engines) -> list[bool]:
    return [member.in_pool for member in pool.members]


def test_one_conversation_is_always_asked_of_one_engine_and_many_of_both() -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        for _ in range(5):
            await hear(pool, "the same")
        assert sorted(len(engine.asked) for engine in engines) == [0, 5]
        for number in range(20):
            await hear(pool, f"number {number}")
        assert all(engine.asked for engine in engines)

    with_pool(test)


def test_what_cannot_reach_its_engine_is_answered_by_another_which_is_the_pool_from_then_on() -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        dead, other = await favourite(pool, engines, "hello")
        await engines[dead].die()
        assert await hear(pool, "hello") == 3
        assert pool.urls == [engines[other].url]
        assert (await pool.complete(chat_body("hello") | {"stream": False}, "r")).choices[0].message.content == engines[other].url
        assert await pool.score("base", [1, 2, 3]) == [-1.0, -1.0]

    with_pool(test)


def test_a_stream_that_is_lost_before_its_first_frame_is_begun_by_another_engine_and_no_other_is() -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        lossy, other = await favourite(pool, engines, "hello")
        engines[lossy].frames_until_lost = 1
        with pytest.raises(EngineError) as raised:
            await hear(pool, "hello")
        assert raised.value.status == 502 and engines[other].asked == [] and all(in_pool(pool))
        engines[lossy].frames_until_lost = 0
        assert await hear(pool, "hello") == 3
        assert engines[other].asked == ["base"] and not pool.members[lossy].in_pool

    with_pool(test)


def test_the_last_engine_stays_whatever_happens_to_it_and_none_is_503() -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        await engines[0].die()
        for ask in (pool.complete(chat_body("hello"), "r"), pool.load("r1", Path("/adapters/r1")), pool.models()):
            with pytest.raises(EngineError) as raised:
                await ask
            assert raised.value.status == 503 and in_pool(pool) == [True]
        pool.members[0].in_pool = False
        with pytest.raises(EngineError, match="no engine is ready") as raised:
            await hear(pool, "hello")
        assert raised.value.status == 503

    with_pool(test, count=1)


def test_an_adapter_is_loaded_and_unloaded_by_all(tmp_path: Path) -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        await pool.load("r1", folder(tmp_path, "r1"))
        assert [list(engine.loaded) for engine in engines] == [["base", "r1"]] * 2
        engines[1].loaded["r2"] = "/adapters/r2"
        assert list(await pool.models()) == ["base", "r1"]  # what only one has cannot be asked for
        await pool.unload("r1")
        assert list(engines[0].loaded) == ["base"] and list(engines[1].loaded) == ["base", "r2"]

    with_pool(test)


@pytest.mark.parametrize("had", [False, True])
def test_an_adapter_that_one_engine_refuses_is_left_where_it_was_before_and_nowhere_else(had: bool, tmp_path: Path) -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        if had:
            engines[0].loaded["r1"] = str(tmp_path / "r1")
        engines[1].load_status = 404
        with pytest.raises(EngineError) as raised:
            await pool.load("r1", folder(tmp_path, "r1"))
        assert raised.value.status == 404 and all(in_pool(pool))
        assert ("r1" in engines[0].loaded, "r1" in engines[1].loaded) == (had, False)

    with_pool(test)


def test_an_engine_that_is_away_while_an_adapter_comes_and_another_goes_has_followed_when_it_is_back(tmp_path: Path) -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        await pool.load("r1", folder(tmp_path, "r1"))
        engines[1].load_status = 503
        await pool.load("r2", folder(tmp_path, "r2"))
        assert in_pool(pool) == [True, False]
        await pool.unload("r1")
        assert "r1" in engines[1].loaded
        engines[1].load_status = 200
        await admit(pool, 1)
        assert in_pool(pool) == [True, True] and list(engines[1].loaded) == ["base", "r2"]

    with_pool(test)


def test_an_adapter_that_is_loaded_while_another_engine_comes_back_is_had_by_both(tmp_path: Path) -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        pool.members[1].in_pool = False

        async def load(_: str) -> None:
            engines[1].before_scoring = None
            await pool.load("r1", folder(tmp_path, "r1"))

        engines[1].before_scoring = load
        await admit(pool, 1)
        assert list(await pool.models()) == ["base", "r1"] and all(in_pool(pool))

    with_pool(test)


def test_an_engine_must_answer_by_each_name_and_as_the_others_do(tmp_path: Path) -> None:
    adapters = [*BASE, ("r1", folder(tmp_path, "r1"))]

    async def test(pool: Engines, engines: list[Scripted]) -> None:
        engines[0].loaded["r1"] = str(tmp_path / "r1")
        pool.members[1].in_pool = False
        engines[1].answers_by["r1"] = "base"
        with pytest.raises(EngineError, match="asked 'r1' for log-probs, but 'base' answered"):
            await admit(pool, 1, adapters)
        engines[1].answers_by.clear()
        engines[1].off = 0.2
        with pytest.raises(EngineError, match=r"log-probs of base at http.* are 0\.2000 nats"):
            await admit(pool, 1, adapters)
        assert in_pool(pool) == [True, False]
        engines[1].off = 0.01
        await admit(pool, 1, adapters)
        assert in_pool(pool) == [True, True]

    with_pool(test)


def test_engines_that_start_together_are_compared_too() -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        for member in pool.members:
            member.in_pool = False
        engines[1].off = 1.0
        ended = await asyncio.gather(admit(pool, 0), admit(pool, 1), return_exceptions=True)
        assert sorted(isinstance(end, EngineError) for end in ended) == [False, True] and sum(in_pool(pool)) == 1

    with_pool(test)


def test_chats_go_through_a_router_and_the_rest_to_the_engines(tmp_path: Path) -> None:
    async def test() -> None:
        router = Scripted()
        async with scripted_pool(2, router) as (pool, engines):
            assert await hear(pool, "hello") == 3
            assert (await pool.complete(chat_body("hello") | {"stream": False}, "r")).choices[0].message.content == router.url
            await pool.load("r1", folder(tmp_path, "r1"))
            assert await pool.score("r1", [1, 2]) == [-1.0]
            assert len(router.asked) == 2 and list(router.loaded) == ["base"]
            assert sum(len(engine.asked) for engine in engines) == 1

    asyncio.run(test())


def test_an_evaluation_asks_all_engines_and_goes_on_without_one_that_dies(tmp_path: Path) -> None:
    model_dir = make_tiny_model(tmp_path / "model")
    suites = load_suites(make_suites(tmp_path / "suites", texts_count=60))

    async def test(pool: Engines, engines: list[Scripted]) -> None:
        deaths: list[asyncio.Task[None]] = []

        async def die(_: str) -> None:
            if len(engines[1].asked) == 5:
                deaths.append(asyncio.create_task(engines[1].die()))

        engines[1].before_scoring = die
        job = EvaluationJob(pool.urls, str(model_dir), [], {"base": ["texts"]}, concurrency=4)
        result = await evaluate(job, {suite.name: suite for suite in suites}, lambda count, said: None)
        assert result.suites == {"base": {"texts": {f"t{n}": -1.0 for n in range(60)}}}
        assert len(deaths) == 1 and len(engines[0].asked) >= 50
        await deaths[0]

    with_pool(test)


def test_an_engine_that_never_gives_scores_is_not_waited_for_for_ever() -> None:
    async def test(pool: Engines, engines: list[Scripted]) -> None:
        engines[0].hangs = True
        async with Engine(engines[0].url, Timeouts(answer_s=0.2)) as engine:
            for ask in (engine.score("base", [1, 2, 3]), engine.draw("base", [1, 2], answers=1, max_tokens=4, seed=0)):
                with pytest.raises(EngineError, match="does not answer") as raised:
                    await ask
                assert raised.value.status == 503
        engines[0].hangs = False

    with_pool(test, count=1)


def test_a_version_is_proved_only_where_every_engine_serves_it() -> None:
    probe = Probe([1, 2, 3], candidate_logprobs=[-1.0, -1.0], parent_logprobs=[-2.0, -2.0])

    async def test(pool: Engines, engines: list[Scripted]) -> None:
        context = SimpleNamespace(engine=pool)
        engines[1].off = 0.1
        said = await release.prove(context, "base", [probe, probe])  # type: ignore[arg-type]
        assert said.startswith("served log-probs are 0.1000 from the trainer's candidate and 0.9000 from its parent")
        engines[1].off = 1.0
        with pytest.raises(NotServed, match=r"are 1\.0000 from the trainer's candidate and 0\.0000"):
            await release.prove(context, "base", [probe])  # type: ignore[arg-type]
        with pytest.raises(NotServed, match="no text"):
            await release.prove(context, "base", [])  # type: ignore[arg-type]

    with_pool(test)
