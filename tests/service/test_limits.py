"""What is too much at once is refused at once, and room comes back when an answer ends, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from learner.assignment import Standing
from learner.engine import Choice, Completion, Delta, EngineError
from learner.tokens import Tokens
from service.chat import Chat
from service.config import ServerSettings
from service.guard import Guard
from service.limits import TEMPLATE_TOKENS, Limits
from service.problem import Problem
from service.router import Router
from service.telemetry.instruments import Instruments
from service.wire import ChatMessage, ChatRequest
from storage.records import Person
from tests.learner.trials import Trials, trials

ANN, BOB, CAT = (Person(name.lower(), name, 1.0) for name in ("Ann", "Bob", "Cat"))


class WaitingEngine:
    """Answers when it is told to; counts what it was asked and what was stopped."""

    def __init__(self) -> None:
        self.may_answer, self.asked, self.stopped = asyncio.Event(), 0, 0

    async def _wait(self) -> None:
        self.asked += 1
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise

    async def complete(self, body: dict[str, Any], request_id: str) -> Completion:
        await self._wait()
        return Completion(model=body["model"], choices=[Choice(token_ids=[1], finish_reason="stop")])

    async def stream(self, body: dict[str, Any], request_id: str) -> AsyncGenerator[Completion]:
        await self._wait()
        yield Completion(model=body["model"], choices=[Choice(delta=Delta("Yes"), token_ids=[1], finish_reason="stop")])


Body = Callable[[Chat, WaitingEngine, Trials], Awaitable[None]]


@pytest.fixture
def run(tiny: tuple[Path, Path], model_dir: Path, tmp_path: Path) -> Callable[[ServerSettings, Body], None]:
    async def go(settings: ServerSettings, body: Body) -> None:
        async with trials(tmp_path / "home", *tiny) as world:
            engine = WaitingEngine()
            served: Any = engine
            limits, router = Limits(settings, Tokens(model_dir)), Router(Standing("base", None, ()))
            chat = Chat(world.context.database, served, router, Guard(None), limits, world.context.clock, settings, Instruments())
            await body(chat, engine, world)
            engine.may_answer.set()
            await chat.drain(timeout_s=5)

    return lambda settings, body: asyncio.run(go(settings, body))


def ask(text: str = "Well?", stream: bool = False) -> ChatRequest:
    return ChatRequest([ChatMessage("user", text)], stream=stream)


async def begun(engine: WaitingEngine, count: int) -> None:
    """Waits until the engine was asked so often."""
    async with asyncio.timeout(10):
        while engine.asked < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
def test_one_person_and_all_together_have_a_limit_and_room_comes_back(
    run: Callable[[ServerSettings, Body], None], stream: bool
) -> None:
    async def body(chat: Chat, engine: WaitingEngine, world: Trials) -> None:
        waiting = [asyncio.create_task(chat.answer(ask(stream=stream), person)) for person in (ANN, ANN, BOB)]
        await begun(engine, 3)
        with pytest.raises(Problem, match="2 answers are being written for you") as refused:
            await chat.answer(ask(stream=stream), ANN)
        assert refused.value.status == 429
        with pytest.raises(Problem, match="3 answers are being written, as many as can be") as refused:
            await chat.answer(ask(stream=stream), CAT)
        assert refused.value.status == 503
        engine.may_answer.set()
        await asyncio.gather(*waiting)
        await chat.drain(timeout_s=5)
        chat.closing = False
        await chat.answer(ask(stream=stream), ANN)  # there is room again

    run(ServerSettings(answers=3, answers_per_person=2), body)


@pytest.mark.parametrize("stream", [False, True])
def test_the_engine_stops_when_the_client_leaves_before_a_word_came(
    run: Callable[[ServerSettings, Body], None], stream: bool
) -> None:
    async def body(chat: Chat, engine: WaitingEngine, world: Trials) -> None:
        leave = asyncio.Event()

        async def left() -> None:
            await leave.wait()

        asking = asyncio.create_task(chat.answer(ask(stream=stream), ANN, left))
        await begun(engine, 1)
        leave.set()
        with pytest.raises(Problem, match="the client left"):
            await asking
        await chat.drain(timeout_s=5)
        assert engine.stopped == 1
        chat.closing = False
        engine.may_answer.set()
        await chat.answer(ask(stream=stream), ANN)  # and its room is free

    run(ServerSettings(answers_per_person=1), body)


@pytest.mark.parametrize("stream", [False, True])
def test_the_end_of_the_service_ends_answers_that_take_too_long(run: Callable[[ServerSettings, Body], None], stream: bool) -> None:
    async def body(chat: Chat, engine: WaitingEngine, world: Trials) -> None:
        asking = asyncio.create_task(chat.answer(ask(stream=stream), ANN))
        await begun(engine, 1)
        async with asyncio.timeout(5):
            await chat.drain(timeout_s=0.05)
        with pytest.raises(Problem, match="broken off"):
            await asking
        assert engine.stopped == 1

    run(ServerSettings(), body)


def test_a_prompt_is_measured_in_tokens_only_where_its_bytes_are_too_many(
    run: Callable[[ServerSettings, Body], None], model_dir: Path
) -> None:
    async def body(chat: Chat, engine: WaitingEngine, world: Trials) -> None:
        engine.may_answer.set()
        await chat.answer(ask("a" * 20), ANN)
        await chat.answer(ask("word " * 40), ANN)
        with pytest.raises(Problem, match=r"the prompt has \d+ tokens, expected 100 at most") as refused:
            await chat.answer(ask("word " * 400), ANN)
        assert refused.value.code == "context_length_exceeded" and engine.asked == 2
        chat.closing = True
        with pytest.raises(Problem, match="the service is ending"):
            await chat.answer(ask(), ANN)

    run(ServerSettings(max_prompt_tokens=100), body)
    assert len(Tokens(model_dir).prompt([("user", "")])) < TEMPLATE_TOKENS


def test_an_engine_error_gives_room_back(run: Callable[[ServerSettings, Body], None]) -> None:
    async def body(chat: Chat, engine: WaitingEngine, world: Trials) -> None:
        async def fail(body: dict[str, Any], request_id: str) -> Completion:
            raise EngineError(500, "no")

        engine.may_answer.set()
        engine.complete = fail  # type: ignore[method-assign]
        for _ in range(3):
            with pytest.raises(EngineError, match="no"):
                await chat.answer(ask(), ANN)

    run(ServerSettings(answers_per_person=1), body)
