"""What waits for a client is bounded, what waits together goes together, and the last event comes when it may."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from learner.engine import Choice, Completion, Delta, Usage
from service.problem import Problem
from service.stream import Events
from service.turns import Turn
from service.wire import ChatMessage, ChatRequest, StreamOptions
from storage.records import Person


def events_of(limit_bytes: int = 2**18, usage: bool = False) -> Events:
    request = ChatRequest([ChatMessage("user", "Hi")], stream=True, stream_options=StreamOptions(include_usage=usage))
    turn = Turn.begin(Person("ann", "Ann", 0.0), None, request.messages, "r1-0", 0.7, {}, 5.0)
    turn.engine_model = "r1-0"
    return Events(request, turn, limit_bytes)


def frame(text: str, finish_reason: str | None = None) -> Completion:
    return Completion(model="r1-0", choices=[Choice(delta=Delta(text), finish_reason=finish_reason, token_ids=[7])])


def decoded(part: bytes) -> list[Any]:
    """The data of each event in a piece of a stream."""
    return [line[6:] if line == b"data: [DONE]" else msgspec.json.decode(line[6:]) for line in part.split(b"\n\n") if line]


def test_events_that_wait_together_go_together_and_in_order() -> None:
    async def go() -> list[bytes]:
        events = events_of(usage=True)
        for word in ("One", " two", " three"):
            events.put(frame(word))
        events.put(Completion(usage=Usage(3, 3, 6)))
        events.end(None)
        return [part async for part in events.sent()]

    (part,) = asyncio.run(go())
    *chunks, usage, done = decoded(part)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "One"},
        {"content": " two"},
        {"content": " three"},
    ]
    assert {chunk["model"] for chunk in chunks} == {"ratchet@r1-0"} and "token_ids" not in chunks[0]["choices"][0]
    assert usage["choices"] == [] and usage["usage"]["total_tokens"] == 6
    assert done == b"[DONE]"


def test_a_problem_before_the_first_event_has_a_status_of_its_own_and_after_it_an_event() -> None:
    async def go(begins: bool) -> tuple[Problem | None, list[Any]]:
        events = events_of()
        if begins:
            events.put(frame("Well"))
        events.end(Problem("engine_failed", "gone"))
        problem = await events.begun()
        return problem, [event async for part in events.sent() for event in decoded(part)]

    problem, _ = asyncio.run(go(begins=False))
    assert problem is not None and problem.status == 502
    problem, (_, told) = asyncio.run(go(begins=True))
    assert problem is None and told["error"]["code"] == "engine_failed"


def test_no_more_than_the_limit_waits_for_a_client_that_reads_slowly() -> None:
    limit_bytes, frames = 2_000, 200

    async def go() -> tuple[int, int]:
        events, longest = events_of(limit_bytes), 0

        async def write() -> None:
            nonlocal longest
            for number in range(frames):
                events.put(frame(f"{number} "))
                longest = max(longest, events.waiting_bytes)
                if events.full:
                    await events.room()
            events.end(None)

        writing = asyncio.create_task(write())
        await asyncio.sleep(0.01)
        assert not writing.done(), "nobody reads, and still all was written"
        seen = 0
        async for part in events.sent():
            seen += len(decoded(part))
            await asyncio.sleep(0)
        await writing
        return seen, longest

    seen, longest = asyncio.run(go())
    assert seen == frames + 1
    assert limit_bytes < longest < limit_bytes + 500


@pytest.mark.parametrize("ends_first", [True, False])
def test_the_end_is_never_missed(ends_first: bool) -> None:
    async def go() -> list[bytes]:
        events = events_of()
        if ends_first:
            events.end(None)
        else:
            asyncio.get_running_loop().call_later(0.01, events.end, None)
        return [part async for part in events.sent()]

    assert asyncio.run(go()) == [b"data: [DONE]\n\n"]
