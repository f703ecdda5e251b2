"""What the engine fails before a first word is counted against the version, while versions are compared, and never shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from learner.assignment import Standing, Tried
from learner.engine import Choice, Completion, Delta, EngineError
from service.canary_keeper import CanaryKeeper
from service.chat import Chat
from service.config import ServerSettings
from service.guard import Guard
from service.limits import Limits
from service.problem import Problem
from service.router import Router
from service.telemetry.instruments import Instruments
from service.wire import ChatMessage, ChatRequest
from storage import conversations
from storage.completions import select_completions
from storage.erase import erase_person
from storage.failures import count_failures
from storage.records import BROKEN_OFF, CanaryState, Message, Person
from tests.learner.trials import Trials, trials

ANN = Person("ann", "Ann", 1.0)
ASK = ChatRequest([ChatMessage("user", "Well?")])
Body = Callable[[Trials, Tried], Awaitable[None]]


class FailingEngine:
    """Answers with an error, after a first word of a stream if it `begins`."""

    def __init__(self, status: int, begins: bool) -> None:
        self._error, self._begins = EngineError(status, "the engine gave up"), begins

    async def complete(self, body: dict[str, Any], request_id: str) -> Completion:
        raise self._error

    async def stream(self, body: dict[str, Any], request_id: str) -> AsyncGenerator[Completion]:
        if self._begins:
            yield Completion(model=body["model"], choices=[Choice(delta=Delta("Yes"), token_ids=[1])])
        raise self._error


@pytest.fixture
def run(tiny: tuple[Path, Path], tmp_path: Path) -> Callable[[Body], None]:
    """In a home with one version that is tried, by everybody."""

    async def go(body: Body) -> None:
        async with trials(tmp_path / "home", *tiny) as world:
            await body(world, Tried((await world.begin()).adapter, 0, 1.0))

    return lambda body: asyncio.run(go(body))


async def ask(world: Trials, request: ChatRequest, status: int, *tried: Tried, begins: bool = False, times: int = 1) -> None:
    """Asks an engine that fails, as somebody whom all that is tried is given to."""
    engine: Any = FailingEngine(status, begins)
    router, clock = Router(Standing("base", None, tried)), world.context.clock
    settings = ServerSettings(max_answer_tokens=8)
    limits = Limits(settings, world.context.tokens)
    chat = Chat(world.context.database, engine, router, Guard(None), limits, clock, settings, Instruments())
    for _ in range(times):
        if begins:
            await chat.answer(request, ANN)
        else:
            with pytest.raises((EngineError, Problem), match="the engine gave up"):
                await chat.answer(request, ANN)
    await chat.drain(timeout_s=5)


async def failed(world: Trials, version: str) -> dict[str, int]:
    counts = await world.context.database.read(partial(count_failures, versions=[version], since_s=0.0))
    return counts[version]


async def kept(world: Trials) -> list[Message]:
    return await world.context.database.read(partial(select_completions, person_id=ANN.id, limit=9))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [404, 500, 502])
def test_an_answer_that_never_began_counts_against_its_version_and_is_no_answer(
    run: Callable[[Body], None], status: int, stream: bool
) -> None:
    async def body(world: Trials, tried: Tried) -> None:
        await ask(world, replace(ASK, stream=stream), status, tried, times=2)
        assert await failed(world, tried.adapter) == {"ann": 2} and await failed(world, "base") == {}
        assert await kept(world) == []
        talks = await world.context.database.read(partial(conversations.select_conversations, person_id=ANN.id, limit=9))
        assert talks == []

    run(body)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "store", "share"),
    [
        pytest.param(400, None, 1.0, id="the request was wrong"),
        pytest.param(503, None, 1.0, id="no engine is there"),
        pytest.param(500, False, 1.0, id="nothing of it is to be kept"),
        pytest.param(500, None, 0.0, id="nothing is compared"),
    ],
)
def test_what_is_no_versions_fault_or_compares_nothing_is_not_counted(
    run: Callable[[Body], None], status: int, store: bool | None, share: float, stream: bool
) -> None:
    async def body(world: Trials, tried: Tried) -> None:
        await ask(world, replace(ASK, stream=stream, store=store), status, replace(tried, share=share))
        assert await failed(world, tried.adapter) == {} == await failed(world, "base")

    run(body)


def test_an_answer_that_began_is_kept_as_broken_off_and_not_counted_twice(run: Callable[[Body], None]) -> None:
    async def body(world: Trials, tried: Tried) -> None:
        await ask(world, replace(ASK, stream=True), 500, tried, begins=True)
        [answer] = await kept(world)
        assert (answer.content, answer.finish_reason, answer.engine_model) == ("Yes", BROKEN_OFF, tried.adapter)
        assert await failed(world, tried.adapter) == {}

    run(body)


def test_a_version_that_the_engine_cannot_answer_by_is_taken_back(run: Callable[[Body], None]) -> None:
    async def body(world: Trials, tried: Tried) -> None:
        keeper = CanaryKeeper(world.context, lambda: True)
        await ask(world, ASK, 500, tried, times=4)
        await keeper.look()
        assert (await world.canary(tried.adapter)).state is CanaryState.RUNNING
        await ask(world, ASK, 500, tried)
        await keeper.look()
        ended = await world.canary(tried.adapter)
        assert ended.state is CanaryState.ROLLED_BACK and ended.reason.startswith("5 of 5 answers were broken off or empty")
        assert await failed(world, tried.adapter) == {}, "they have done their work"

    run(body)


def test_who_is_forgotten_meanwhile_leaves_no_failure(run: Callable[[Body], None]) -> None:
    async def body(world: Trials, tried: Tried) -> None:
        await ask(world, ASK, 500, tried)
        await world.context.database.write(partial(erase_person, person_id=ANN.id, at_s=world.context.clock()))
        assert await failed(world, tried.adapter) == {}
        await ask(world, ASK, 500, tried)  # a request of before, by the same clock
        assert await failed(world, tried.adapter) == {}

    run(body)
