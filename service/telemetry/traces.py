"""Traces by OpenTelemetry, an extra (`otel`): a request, the engine's call in it, the commit of what is kept.

Names are those of the conventions for HTTP and for generative AI, <https://opentelemetry.io/docs/specs/semconv/gen-ai/>; a thumb
is a `gen_ai.evaluation.result` on the request that gave it. Where the settings do not say so, spans hold nothing of what people
and versions say. Off, `tracing` is `OFF`, which does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from service.config import ConfigError
from service.telemetry.settings import TracingSettings
from service.turns import Turn
from storage.records import Feedback, FeedbackKind

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, SpanKind

PROVIDER = "vllm"
SCORES = {"up": 1.0, "down": 0.0}


class TracingMissing(ConfigError):
    """Traces are asked for, and OpenTelemetry is not there."""


class Ended(Protocol):
    """Is told the route and the status of a request's answer."""

    def __call__(self, route: str, status: int) -> None: ...


class Tracing:
    """Traces nothing; what a `Tracer` does is said here."""

    def request(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[Ended]:
        """A span around a request. It goes on with the trace that the request's `traceparent` names."""
        return _NOT_TRACED

    def engine(self, turn: Turn) -> AbstractContextManager[None]:
        """A span around what the engine is asked for a turn; it tells at its end what the turn has by then."""
        return _NOTHING

    def commit(self, what: str) -> AbstractContextManager[None]:
        """A span around a write, from its being asked for until it is on disk."""
        return _NOTHING

    def voted(self, completion_id: str, version: str | None, rows: Sequence[Feedback]) -> None:
        """Thumbs among these rows are events of the span that is open."""

    def stop(self) -> None:
        """Sends what is left."""


def _unheard(route: str, status: int) -> None:
    pass


_NOTHING = nullcontext(None)
_NOT_TRACED: AbstractContextManager[Ended] = nullcontext(_unheard)
OFF = Tracing()


def start_tracing(settings: TracingSettings) -> Tracing:
    """`OFF` unless the settings say otherwise. Raises `TracingMissing`."""
    if not settings.enabled:
        return OFF
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        message = f"tracing.enabled is true, and there is no {error.name}: `pip install 'ratchet[otel]'`"
        raise TracingMissing(message) from error
    return Tracer(settings, BatchSpanProcessor(OTLPSpanExporter(settings.endpoint)))


class Tracer(Tracing):
    """Traces, and gives spans to a processor."""

    def __init__(self, settings: TracingSettings, processor: SpanProcessor) -> None:
        from opentelemetry import propagate, trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        resource = Resource.create({"service.name": "ratchet"})
        self._provider = TracerProvider(sampler=ParentBasedTraceIdRatio(settings.share), resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("ratchet")
        self._trace, self._extract, self._content = trace, propagate.extract, settings.content

    @contextmanager
    def request(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Ended]:
        kind, status_of, error = self._trace.SpanKind.SERVER, self._trace.Status, self._trace.StatusCode.ERROR
        carried = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.startswith(b"trace")}
        with self._open(method, {"http.request.method": method}, kind, self._extract(carried)) as span:

            def ended(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": status})
                if status >= 500:
                    span.set_status(status_of(error))

            yield ended

    @contextmanager
    def engine(self, turn: Turn) -> Iterator[None]:
        asked: dict[str, str | float] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": turn.adapter,
            "gen_ai.request.temperature": turn.temperature,
            "gen_ai.conversation.id": turn.conversation_id,
            "gen_ai.response.id": turn.id,
        }
        kind = self._trace.SpanKind.CLIENT
        with self._open(f"chat {turn.adapter}", asked, kind) as span:
            if self._content:
                span.set_attribute("gen_ai.input.messages", _messages(*((message.role, message.text) for message in turn.messages)))
            try:
                yield
            except BaseException as error:
                self._fail(span, error)
                raise
            finally:
                self._tell_answer(span, turn)

    @contextmanager
    def commit(self, what: str) -> Iterator[None]:
        with self._open(f"commit {what}", {"db.operation.name": what}, self._trace.SpanKind.INTERNAL) as span:
            try:
                yield
            except BaseException as error:
                self._fail(span, error)
                raise

    def voted(self, completion_id: str, version: str | None, rows: Sequence[Feedback]) -> None:
        span = self._trace.get_current_span()
        for row in rows:
            if row.kind is FeedbackKind.THUMB and isinstance(row.value, str):
                told: dict[str, str | float] = {
                    "gen_ai.evaluation.name": "thumb",
                    "gen_ai.evaluation.score.label": row.value,
                    "gen_ai.evaluation.score.value": SCORES[row.value],
                    "gen_ai.response.id": completion_id,
                }
                span.add_event("gen_ai.evaluation.result", told | ({"gen_ai.response.model": version} if version else {}))

    def stop(self) -> None:
        self._provider.shutdown()

    def _open(
        self, name: str, attributes: Mapping[str, str | float], kind: SpanKind, context: Context | None = None
    ) -> AbstractContextManager[Span]:
        """A span, current inside. It does not take down errors by itself, which may quote people."""
        return self._tracer.start_as_current_span(
            name, context, kind, attributes, record_exception=False, set_status_on_exception=False
        )

    def _tell_answer(self, span: Span, turn: Turn) -> None:
        told: dict[str, Any] = {"gen_ai.response.model": turn.engine_model}
        if turn.usage is not None:
            told["gen_ai.usage.input_tokens"] = turn.usage.prompt_tokens
            told["gen_ai.usage.output_tokens"] = turn.usage.completion_tokens
        if turn.finish_reason is not None:
            told["gen_ai.response.finish_reasons"] = [turn.finish_reason]
        if self._content:
            told["gen_ai.output.messages"] = _messages(("assistant", turn.text))
        span.set_attributes({name: value for name, value in told.items() if value is not None})

    def _fail(self, span: Span, error: BaseException) -> None:
        """By its type: an error's words may be somebody's."""
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))


def _messages(*said: tuple[str, str]) -> str:
    """Roles and texts, as the conventions have them."""
    messages = [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said]
    return msgspec.json.encode(messages).decode()
