"""A trace goes from the request through the engine to the disk, with GenAI's names, and without a word of anybody's."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.telemetry.instruments import Instruments
from service.telemetry.settings import TracingSettings
from service.telemetry.traces import OFF, Tracer, TracingMissing, start_tracing
from service.turns import Turn
from service.wire import ChatMessage
from storage.records import Feedback, FeedbackKind, Person
from tests.conftest import Service
from tests.service.telemetry.watched import fetch, say, until, vote, watched_service

export = pytest.importorskip("opentelemetry.sdk.trace.export", reason="the extra `otel` is not installed")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

QUESTION = "Where is the red bicycle?"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ON = TracingSettings(enabled=True)


class Traced:
    """Spans that ended."""

    def __init__(self, settings: TracingSettings = ON) -> None:
        self._exporter = memory.InMemorySpanExporter()
        self.tracer = Tracer(settings, export.SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> dict[str, Any]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Service, Traced]]:
    """A service that is traced."""
    traced = Traced()
    monkeypatch.setattr("service.app.start_tracing", lambda settings: traced.tracer)
    with watched_service(tmp_path) as (service, _):
        yield service, traced


@pytest.mark.parametrize("stream", [False, True])
def test_from_the_request_to_the_disk(traced: tuple[Service, Traced], stream: bool) -> None:
    service, found = traced
    body = {"model": "ratchet", "messages": [{"role": "user", "content": QUESTION}], "stream": stream}
    _, _, headers = fetch(service, "/v1/chat/completions", body, traceparent=f"00-{TRACE}-{PARENT}-01")
    until(lambda: "POST /v1/chat/completions" in found.spans)
    request, engine, commit = (found.spans[name] for name in ("POST /v1/chat/completions", "chat base", "commit turn"))
    assert {f"{span.context.trace_id:032x}" for span in (request, engine, commit)} == {TRACE}
    assert f"{request.parent.span_id:016x}" == PARENT
    assert engine.parent.span_id == commit.parent.span_id == request.context.span_id
    assert request.attributes == {
        "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": 200,
    }  # fmt: skip
    told = dict(engine.attributes)
    assert told.pop("gen_ai.conversation.id") == headers["x-conversation-id"]
    usage = {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 5} if stream else {}
    assert told == usage | {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "base",
        "gen_ai.request.temperature": 0.7,
        "gen_ai.response.id": headers["x-request-id"],
        "gen_ai.response.model": "base",
        "gen_ai.response.finish_reasons": ("stop",),
    }
    everything = "".join(str(span.to_json()) for span in found.spans.values())
    assert "bicycle" not in everything and "whales" not in everything


def test_a_thumb_is_an_evaluation(traced: tuple[Service, Traced]) -> None:
    service, found = traced
    answer = say(service)
    vote(service, answer, thumb="down", comment=QUESTION)
    until(lambda: "POST /v1/feedback" in found.spans)
    (event,) = found.spans["POST /v1/feedback"].events
    assert event.name == "gen_ai.evaluation.result"
    assert event.attributes == {
        "gen_ai.evaluation.name": "thumb",
        "gen_ai.evaluation.score.label": "down",
        "gen_ai.evaluation.score.value": 0.0,
        "gen_ai.response.id": answer,
        "gen_ai.response.model": "base",
    }
    assert found.spans["commit feedback"].parent.span_id == found.spans["POST /v1/feedback"].context.span_id


def begin() -> Turn:
    return Turn.begin(Person("ann", "Ann", 1.0), None, [ChatMessage("user", QUESTION)], "r1", 0.5, {}, 1.0)


def test_words_are_in_spans_where_the_settings_say_so() -> None:
    found = Traced(TracingSettings(enabled=True, content=True))
    turn = begin()
    with found.tracer.engine(turn):
        turn.content.append("In the cellar.")
    attributes: Mapping[str, Any] = found.spans["chat r1"].attributes
    assert json.loads(attributes["gen_ai.input.messages"])[0]["parts"] == [{"type": "text", "content": QUESTION}]
    assert json.loads(attributes["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "In the cellar."}]


def test_what_fails_is_told_by_its_type_alone() -> None:
    found = Traced()
    with pytest.raises(ValueError), found.tracer.engine(begin()):
        raise ValueError(QUESTION)
    with pytest.raises(asyncio.CancelledError), found.tracer.commit("turn"):
        raise asyncio.CancelledError
    failed = found.spans["chat r1"]
    assert failed.attributes["error.type"] == "ValueError" and not failed.status.is_ok and not failed.events
    assert "bicycle" not in str(failed.to_json())
    assert found.spans["commit turn"].attributes["error.type"] == "CancelledError"


def test_a_share_of_nothing_traces_only_who_asks_to_be() -> None:
    found = Traced(TracingSettings(enabled=True, share=0.0))
    asked = [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]
    for headers in ([], asked):
        with found.tracer.request("GET", headers) as ended:
            ended("/v1/models", 200)
    assert f"{found.spans['GET /v1/models'].context.trace_id:032x}" == TRACE and len(found.spans) == 1


def test_off_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_tracing(TracingSettings()) is OFF is Instruments().tracing
    with OFF.request("GET", []) as ended, OFF.engine(begin()), OFF.commit("turn"):
        ended("/", 200)
    OFF.voted("chatcmpl-1", "r1", [Feedback("f", "m", "ann", FeedbackKind.THUMB, "up", 1.0, "s")])
    OFF.stop()
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracingMissing, match=r"ratchet\[otel\]"):
        start_tracing(ON)
