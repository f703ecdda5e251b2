"""Whatever an engine sends: frames, or an `EngineError`; to the client a whole stream, and what it was told is what is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import strategies as st

from learner.engine import Completion, Engine, EngineError
from learner.timeouts import Timeouts
from storage.records import MessageStatus
from tests.conftest import Service
from tests.faults.scripted_chat import DONE, ScriptedChat, Talk, answers
from tests.faults.streams import hear
from tests.faults.test_clients import answers_of
from tests.fuzz.inputs import amounts, damaged, damaged_json, fuzz
from tests.service.scripted import scripted_service

T = TypeVar("T")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
PATIENT = Timeouts(connect_s=10, control_s=10, silence_s=10, answer_s=20)


def frame(content: str, **choice: object) -> dict[str, object]:
    delta = {"index": 0, "delta": {"content": content}, "logprobs": None, "token_ids": [7], **choice}
    return {"id": "c", "model": "base", "created": 1, "choices": [delta], "prompt_token_ids": [1, 2]}


USAGE = {"id": "c", "model": "base", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
FRAMES = [frame("Blue"), frame(" whäles 😀"), frame("", finish_reason="stop"), USAGE]
ERROR = {"error": {"message": "out of memory", "type": "Error", "code": 500}}
EVENTS = [f"data: {json.dumps(one)}\n\n".encode() for one in (*FRAMES, ERROR)]
STREAMS = [b"".join([*EVENTS[:4], DONE]), b"".join(EVENTS), b": a comment\r\n\r\n" + b"".join([*EVENTS[:2], DONE]), EVENTS[0]]
frames = damaged_json([*FRAMES, ERROR]).map(lambda data: b"data: " + data.replace(b"\n", b" ") + b"\n\n")
streams = damaged(STREAMS) | st.lists(frames, max_size=5).map(lambda parts: b"".join([*parts, DONE]))
responses = streams.map(lambda body: HEAD + body) | damaged([HEAD + STREAMS[0]])


async def of_engine(response: bytes, ask: Callable[[Engine], Awaitable[T]], cuts: Sequence[int] = ()) -> T:
    """What an engine's client makes of an answer of these bytes, which come in pieces."""
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for begin, end in pairwise([0, *cuts, len(response)]):
                writer.write(response[begin:end])
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass  # the client has heard enough
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            over.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        try:
            async with Engine(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", PATIENT) as engine:
                return await ask(engine)
        finally:
            await over.wait()


def heard(response: bytes, cuts: Sequence[int] = ()) -> list[Completion]:
    """The frames of a stream."""

    async def ask(engine: Engine) -> list[Completion]:
        async with aclosing(engine.stream({}, "r")) as found:
            return [one async for one in found]

    return asyncio.run(of_engine(response, ask, cuts))


@amounts(250, 20_000)
def test_a_stream_is_frames_or_an_engine_error_whatever_comes(inputs: int) -> None:
    def check(response: bytes) -> None:
        try:
            assert all(isinstance(one, Completion) for one in heard(response))
        except EngineError as error:
            assert error.message

    fuzz(inputs, responses, check)


@amounts(60, 5_000)
def test_where_a_stream_is_cut_into_pieces_changes_nothing(inputs: int) -> None:
    response = HEAD + STREAMS[0]
    whole = heard(response)

    def check(cuts: list[int]) -> None:
        assert heard(response, sorted(cuts)) == whole

    fuzz(inputs, st.lists(st.integers(len(HEAD), len(response)), max_size=20), check)


SCORED = {"model": "base", "choices": [{"prompt_logprobs": [None, {"2": {"logprob": -1.5}}, {"3": {"logprob": -2.5}}]}]}
DRAWN = {"model": "base", "choices": [{"token_ids": [5, 6], "logprobs": {"token_logprobs": [-1.0, -2.0]}, "finish_reason": "stop"}]}
METRICS = b'vllm:num_requests_running{engine="0"} 1.0\nvllm:iteration_tokens_total_count{engine="0"} 2e+06\n'
ASKED: dict[str, tuple[Callable[[Engine], Awaitable[object]], st.SearchStrategy[bytes]]] = {
    "score": (lambda engine: engine.score("base", [1, 2, 3]), damaged_json([SCORED])),
    "draw": (lambda engine: engine.draw("base", [1, 2], 1, 8, 0), damaged_json([DRAWN])),
    "complete": (lambda engine: engine.complete({}, "r"), damaged_json([FRAMES[0]])),
    "models": (lambda engine: engine.models(), damaged_json([{"data": [{"id": "base", "root": "/a"}]}])),
    "progress": (lambda engine: engine.progress(), damaged([METRICS])),
}


@pytest.mark.parametrize("what", ASKED)
@amounts(60, 5_000)
def test_whatever_else_an_engine_is_asked_its_answer_is_one_or_an_engine_error(what: str, inputs: int) -> None:
    ask, bodies = ASKED[what]

    def check(body: bytes) -> None:
        with suppress(EngineError):
            asyncio.run(of_engine(HEAD + body, ask))

    fuzz(inputs, bodies, check)


@amounts(40, 5_000)
def test_a_frame_nested_without_end_is_an_engine_error(inputs: int) -> None:
    def check(depth: int) -> None:
        with pytest.raises(EngineError):
            heard(HEAD + b'data: {"choices": [{"logprobs": {"a": ' + b"[" * depth + b"\n\n")

    fuzz(inputs, st.integers(0, 200_000), check)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, ScriptedChat]]:
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    with scripted_service(folder) as (service, engine):
        yield service, engine


@amounts(80, 3_000)
def test_a_client_hears_a_whole_stream_and_what_it_heard_is_kept(pair: tuple[Service, ScriptedChat], inputs: int) -> None:
    service, engine = pair

    def check(body: bytes) -> None:
        async def says(talk: Talk) -> None:
            await talk.send(body)

        engine.script = says
        before = len(answers_of(service))
        told = hear(service.url)
        if told.status != 200:  # nothing was said before it broke
            assert told.status in (502, 503) and told.error["message"]
            return
        ended = told.events[-1] == "[DONE]"
        assert ended or told.error["message"]
        [kept] = answers_of(service)[before:]
        assert kept.content == told.text
        assert kept.status is (MessageStatus.COMPLETE if ended else MessageStatus.INTERRUPTED)

    try:
        fuzz(inputs, streams, check)
    finally:
        engine.script = answers
    assert hear(service.url).status == 200
