"""Whatever the engine does to an answer, its client hears of it in OpenAI's form, and what is kept says how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

import pytest

from learner.engine import LONGEST_FRAME_BYTES
from storage import conversations, feedback
from storage.records import BROKEN_OFF, Message, MessageStatus
from tests.conftest import Service
from tests.faults.conftest import SILENCE_S
from tests.faults.scripted_chat import WORDS, Script, ScriptedChat, Talk, hangs
from tests.faults.streams import Heard, hear

YEAR_S = 365 * 86400.0
SLACK_S = 4.0  # of a busy machine, beyond a time-out
BEGUN = "".join(WORDS[:2])


def refuses(status: int, message: str) -> Script:
    async def script(talk: Talk) -> None:
        talk.refuse(status, message)

    return script


def replies(body: object) -> Script:
    async def script(talk: Talk) -> None:
        talk.reply(200, body)

    return script


def begins(*after: bytes, then: Callable[[Talk], None] = lambda talk: None) -> Script:
    """Says two words, sends these bytes, does what is to be done, and is at its end."""

    async def script(talk: Talk) -> None:
        await talk.say(*WORDS[:2])
        for data in after:
            await talk.send(data)
        then(talk)

    return script


async def hangs_amid(talk: Talk) -> None:
    await talk.say(*WORDS[:2])
    await hangs(talk)


async def resets(talk: Talk) -> None:
    talk.break_off()


def in_pieces(size: int) -> Script:
    """A whole answer, so many bytes at a time."""

    async def script(talk: Talk) -> None:
        data = b"".join(talk.frame({"content": word}) for word in WORDS) + talk.last()
        for at in range(0, len(data), size):
            await talk.send(data[at : at + size])
            await asyncio.sleep(0)

    return script


async def with_comments(talk: Talk) -> None:
    await talk.send(b": ping\n\n" + talk.frame({"content": WORDS[0]}) + b"\n: ping\n\n" + talk.frame({"content": WORDS[1]}))
    await talk.say(*WORDS[2:])
    await talk.finish()


def kept(service: Service, heard: Heard) -> Message | None:
    return service.call(service.parts.database.read(partial(conversations.select_message, id=heard.id)))


def stored(service: Service, key: str) -> list[object]:
    """The person's answers."""
    status, page = service.request("GET", "/v1/chat/completions", key=key)
    assert status == 200, page
    return list(page["data"])


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(in_pieces(3), id="characters of four bytes and frames cut"),
        pytest.param(in_pieces(2**20), id="all at once"),
        pytest.param(with_comments, id="comments between"),
    ],
)
def test_an_answer_is_whole_however_its_bytes_come(front: Service, chat_engine: ScriptedChat, script: Script) -> None:
    chat_engine.script = script
    heard = hear(front.url)
    assert heard.text == "".join(WORDS) and heard.events[-1] == "[DONE]"
    answer = kept(front, heard)
    assert answer is not None and (answer.content, answer.status) == ("".join(WORDS), MessageStatus.COMPLETE)


TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        pytest.param(refuses(500, "EngineCore encountered an issue"), 502, "engine_failed", id="500"),
        pytest.param(refuses(503, "the engine is shutting down"), 503, "not_ready", id="503"),
        pytest.param(refuses(400, TOO_LONG), 400, "context_length_exceeded", id="context too long"),
        pytest.param(refuses(400, "bad_words is not supported"), 400, "invalid_request", id="400"),
        pytest.param(resets, 503, "not_ready", id="connection reset"),
        pytest.param(hangs, 503, "not_ready", id="hangs"),
    ],
)
def test_what_fails_before_the_first_word_has_its_own_status_and_is_no_answer(
    front: Service, chat_engine: ScriptedChat, script: Script, status: int, code: str, stream: bool
) -> None:
    chat_engine.script = script
    key = f"fails {status} {script.__qualname__} {stream}"
    heard = hear(front.url, key, stream)
    assert (heard.status, heard.error["code"]) == (status, code)
    assert heard.took_s < 2 * SILENCE_S + SLACK_S  # a plain answer has twice the time
    assert ("retry-after" in heard.headers) == (status == 503)
    assert stored(front, key) == []
    assert all(talk.ended.wait(SLACK_S) for talk in chat_engine.talks)


BROKEN = [
    pytest.param(begins(then=Talk.break_off), "engine_failed", id="connection reset"),
    pytest.param(begins(), "engine_failed", id="no [DONE]"),
    pytest.param(begins(b'data: {"id": "chatcmpl-1", "choices": [{"index": 0, "del\n\n'), "engine_failed", id="cut JSON"),
    pytest.param(begins(b'data: {"choices": "none"}\n\n'), "engine_failed", id="JSON of another form"),
    pytest.param(
        begins(b'data: {"choices": [{"delta": {"content": "\xf0\x9f\x90"}}]}\n\n'), "engine_failed", id="half a character"
    ),
    pytest.param(begins(b"data: " + b"x" * (LONGEST_FRAME_BYTES + 2**20)), "engine_failed", id="a frame without an end"),
    pytest.param(begins(b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n'), "engine_failed", id="error frame"),
    pytest.param(hangs_amid, "engine_failed", id="hangs"),
]


@pytest.mark.parametrize(("script", "code"), BROKEN)
def test_what_breaks_off_is_told_kept_as_interrupted_and_never_learnt_from(
    front: Service, chat_engine: ScriptedChat, script: Script, code: str
) -> None:
    chat_engine.script = script
    heard = hear(front.url)
    assert (heard.status, heard.error["code"]) == (200, code)
    assert heard.text and BEGUN.startswith(heard.text)  # the last word may wait for a next one that the policy is held against
    assert heard.took_s < SILENCE_S + SLACK_S
    answer = kept(front, heard)
    assert answer is not None
    assert (answer.status, answer.content, answer.finish_reason) == (MessageStatus.INTERRUPTED, heard.text, BROKEN_OFF)
    status, _ = front.request("POST", "/v1/feedback", {"completion_id": heard.id, "thumb": "up", "correction": "As a bus."})
    assert status == 200
    evidence = front.call(front.parts.database.read(partial(feedback.select_evidence, after_position=0, limit=1000)))
    assert heard.id not in {item.message.id for item in evidence}
    assert chat_engine.talks[-1].ended.wait(SLACK_S)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"model": "base", "choices": [{"mess', id="cut JSON"),
        pytest.param(b'{"model": "base", "choices": [{"message": {"content": "\xff"}}]}', id="no UTF-8"),
        pytest.param({"model": "base", "choices": []}, id="no choice"),
    ],
)
def test_a_plain_answer_that_is_none_is_the_engines_failure_and_not_kept(
    front: Service, chat_engine: ScriptedChat, body: object
) -> None:
    chat_engine.script = replies(body)
    key = f"plain {body!r}"
    heard = hear(front.url, key, stream=False)
    assert (heard.status, heard.error["code"]) == (502, "engine_failed")
    assert stored(front, key) == []


def test_a_service_answers_on_after_every_fault(front: Service, chat_engine: ScriptedChat) -> None:
    for script in (*(fault.values[0] for fault in BROKEN[:3]), refuses(503, "not now"), resets):
        assert callable(script)
        chat_engine.script = script
        hear(front.url)
        chat_engine.script = in_pieces(2**20)
        assert hear(front.url).events[-1] == "[DONE]"


def test_a_clock_that_jumps_moves_no_latency_and_no_time_out(front: Service, chat_engine: ScriptedChat) -> None:
    async def jumps(talk: Talk) -> None:
        await talk.say(WORDS[0])
        for years in (1, -2, 1):
            move(front, years * YEAR_S)
            await asyncio.sleep(SILENCE_S / 4)
            await talk.say(WORDS[1])
        await talk.finish()

    chat_engine.script = jumps
    heard = hear(front.url)
    assert heard.events[-1] == "[DONE]"
    answer = kept(front, heard)
    assert answer is not None and answer.latency_ms is not None and answer.first_token_ms is not None
    assert 0 < answer.first_token_ms <= answer.latency_ms <= heard.took_s * 1000
    assert answer.latency_ms >= 1000 * 3 * SILENCE_S / 4

    async def jumps_and_hangs(talk: Talk) -> None:
        await talk.say(*WORDS[:2])
        move(front, -YEAR_S)
        try:
            await hangs(talk)
        finally:
            move(front, YEAR_S)

    chat_engine.script = jumps_and_hangs
    began = time.monotonic()
    assert hear(front.url).error["code"] == "engine_failed"
    assert SILENCE_S <= time.monotonic() - began < SILENCE_S + SLACK_S
    assert front.request("GET", "/health/ready")[0] == 200


def move(service: Service, seconds: float) -> None:
    """The time of day, in either direction, as a system's clock can be set."""
    service.parts.clock._ahead_s += seconds
