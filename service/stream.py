"""A streamed answer on its way out: events as OpenAI has them, from the task that reads the engine to the connection.

What the client has not taken yet is bounded: past that the engine is read no faster than the client reads. A client that
takes nothing at all is dropped by the system (`listen`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from litestar.response import Stream

from learner.engine import Completion, Usage
from service.problem import Problem, envelope
from service.router import model_name
from service.turns import Turn
from service.wire import AnswerDelta, ChatRequest, Chunk, ChunkChoice

encode = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"


class Events:
    """The events of one stream. `limit_bytes` of them may wait for the client; a single one may be longer."""

    def __init__(self, request: ChatRequest, turn: Turn, limit_bytes: int) -> None:
        self._turn, self._limit_bytes = turn, limit_bytes
        self._usage = bool(request.stream_options and request.stream_options.include_usage)
        self._waiting: list[bytes] = []
        self.waiting_bytes = 0
        self._news, self._taken = asyncio.Event(), asyncio.Event()
        self._sent_any = self._ended = False
        self._problem: Problem | None = None

    def put(self, frame: Completion) -> None:
        """Sends a frame of the engine's as the client is to see it."""
        for choice in frame.choices:
            delta = AnswerDelta(role=None if self._sent_any else "assistant", content=choice.delta.content)
            self._send([ChunkChoice(choice.index, delta, choice.finish_reason, choice.logprobs)])
        if not frame.choices and frame.usage is not None and self._usage:
            self._send([], frame.usage)

    @property
    def full(self) -> bool:
        return self.waiting_bytes > self._limit_bytes

    async def room(self) -> None:
        """Returns once the client has taken what waits."""
        while self.full:
            self._taken.clear()
            await self._taken.wait()

    def end(self, problem: Problem | None) -> None:
        """The last event: everything that is to be kept is on disk."""
        self._problem, self._ended = problem, True
        self._add(_event(envelope(problem)) if problem else DONE)

    async def begun(self) -> Problem | None:
        """Waits for the first event; gives the problem if it came before any, so that it gets its own HTTP status."""
        await self._news.wait()
        return None if self._sent_any else self._problem

    async def sent(self) -> AsyncIterator[bytes]:
        """The events as they come; those that wait together go together."""
        while True:
            await self._news.wait()
            ready, ended = b"".join(self._waiting), self._ended
            self._waiting.clear()
            self.waiting_bytes = 0
            self._news.clear()
            self._taken.set()
            yield ready
            if ended:
                return

    def _send(self, choices: list[ChunkChoice], usage: Usage | None = None) -> None:
        chunk = Chunk(
            id=self._turn.id,
            created=int(self._turn.created_at_s),
            model=model_name(self._turn.engine_model),
            choices=choices,
            usage=usage if self._usage else msgspec.UNSET,
        )
        self._sent_any = True
        self._add(_event(chunk))

    def _add(self, event: bytes) -> None:
        self._waiting.append(event)
        self.waiting_bytes += len(event)
        self._news.set()


class ToldStream(Stream):
    """A stream that tells when its response is over, in whatever way.

    Litestar cancels a stream whose client has left, but the generator hears of it only when it happens to be the one that
    waits: while the connection is being written to, it stays suspended until the garbage collector comes.
    """

    def __init__(self, content: AsyncIterator[bytes], over: Callable[[], object], headers: dict[str, str]) -> None:
        super().__init__(content, media_type="text/event-stream", headers={**headers, "cache-control": "no-store"})
        self._over = over

    def to_asgi_response(self, *arguments: Any, **options: Any) -> Any:
        response = super().to_asgi_response(*arguments, **options)

        async def respond(scope: Any, receive: Any, send: Any) -> None:
            try:
                await response(scope, receive, send)
            finally:
                self._over()

        return respond


def _event(body: msgspec.Struct) -> bytes:
    return b"data: " + encode(body) + b"\n\n"
