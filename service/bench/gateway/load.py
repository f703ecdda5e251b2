"""The load of `ratchet bench gateway`: clients who read streams word by word and note when each came.

Run as `python -m service.bench.gateway.load`: one line of standard input is a `Load`, and is answered by a line with the
`Loaded`. Everything is done on the raw bytes, so that many streams cost this process little beside what is measured.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import msgspec
import uvloop
from httptools import HttpParserError, HttpResponseParser

from service.bench.gateway.frames import CONTENT, DONE, count_lost, whole_texts
from service.bench.gateway.spec import Load, Loaded, Percentiles

PEOPLE = 64  # keys that clients ask with, so that none asks for much at once
QUESTION = "How does a ratchet turn, and why does it never slip back? Please say it so that a child understands it."
SHOWN_BYTES = 200  # of an answer that is not what was expected


class Reading:
    """One answer, as it comes."""

    def __init__(self, streamed: bool) -> None:
        self.asked_at = self._last_at = time.perf_counter()
        self.first_ms, self.answer_ms, self.gaps_ms = 0.0, 0.0, list[float]()
        self.status, self.problem = 0, ""
        self.said = self._rest = b""
        self._streamed, self._done = streamed, False

    def take(self, body: bytes, now: float) -> None:
        """A part of the body, which came just now."""
        self._rest += body
        if not self._streamed or self.status != 200:
            return
        events, _, self._rest = self._rest.rpartition(b"\n\n")
        if not events:
            return
        for words in filter(None, CONTENT.findall(events)):
            if not self.said:
                self.first_ms = (now - self.asked_at) * 1000
            else:
                self.gaps_ms.append((now - self._last_at) * 1000)
            self.said, self._last_at = self.said + words, now
        self._done = events.endswith(DONE.strip())

    def end(self, now: float, frames: int) -> None:
        """The answer is over: whatever is not as it should be becomes its problem."""
        self.answer_ms = (now - self.asked_at) * 1000
        if not self._streamed and self.status == 200:
            self.said, self._done = b"".join(CONTENT.findall(self._rest)), True
        if self.problem:
            return
        if self.status != 200:
            self.problem = f"status {self.status}: {self._rest[:SHOWN_BYTES].decode(errors='replace')}"
        elif self.said not in whole_texts(frames):
            end = self._rest[-SHOWN_BYTES:].decode(errors="replace")
            self.problem = f"{count_lost(self.said, frames)} of {frames} frames lost, or others among them; it ends {end!r}"
        elif not self._done:
            self.problem = "the answer ended without [DONE]"


class Client(asyncio.Protocol):
    """One connection, on which one question follows another; a lost one is made again for the next question."""

    def __init__(self, load: Load, number: int) -> None:
        self._load, self._request = load, _request(load, number)
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._over: asyncio.Future[None] | None = None

    async def ask(self) -> Reading:
        """The answer, whole or with its problem. OSError where nobody takes connections."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, "127.0.0.1", self._load.port)
        assert self._transport is not None
        self._parser, self._over = HttpResponseParser(self), loop.create_future()
        reading = self._reading = Reading(self._load.streamed)
        self._transport.write(self._request)
        try:
            async with asyncio.timeout(self._load.limit_s):
                await self._over
        except TimeoutError:
            reading.problem = f"no end within {self._load.limit_s:g} s, after {len(reading.gaps_ms)} gaps"
            self._transport.abort()
            self._transport = None
        self._reading = None
        reading.end(time.perf_counter(), self._load.frames)
        return reading

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        self._now = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(f"no HTTP: {error!r}")

    def on_headers_complete(self) -> None:
        if self._reading is not None:
            self._reading.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if self._reading is not None:
            self._reading.take(body, self._now)

    def on_message_complete(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._fail(f"the connection was lost ({error or 'closed'})")

    def _fail(self, problem: str) -> None:
        if self._reading is not None and self._over is not None and not self._over.done():
            self._reading.problem = problem
            self._over.set_result(None)


async def run(load: Load) -> Loaded:
    """Has the clients ask until the time is over or enough is answered, and each answer end."""
    began, asked = time.perf_counter(), 0
    answers: list[Reading] = []

    async def hold(number: int) -> None:
        nonlocal asked
        await asyncio.sleep(load.spread_s * number / load.clients)
        client = Client(load, number)
        while load.answers is None or asked < load.answers:
            asked += 1
            answers.append(await client.ask())
            if time.perf_counter() - began >= load.seconds:
                break
        client.close()

    await asyncio.gather(*map(hold, range(load.clients)))
    return _sum(load, answers, time.perf_counter() - began)


def _sum(load: Load, answers: list[Reading], seconds: float) -> Loaded:
    good = [one for one in answers if not one.problem]
    failed = [one for one in answers if one.problem]
    return Loaded(
        whole=len(good),
        failed=len(failed),
        lost_frames=sum(count_lost(one.said, load.frames) for one in failed),
        first_ms=Percentiles.of([one.first_ms for one in good if load.streamed]),
        gap_ms=Percentiles.of([gap for one in good for gap in one.gaps_ms]),
        answer_ms=Percentiles.of([one.answer_ms for one in good]),
        seconds=seconds,
        problem=failed[0].problem if failed else "",
    )


def _request(load: Load, number: int) -> bytes:
    asked: dict[str, object] = {
        "model": load.model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": load.frames,
        "stream": load.streamed,
    }
    body = msgspec.json.encode(asked)
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: 127.0.0.1:{load.port}",
        f"Authorization: Bearer bench-{number % PEOPLE}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def main() -> None:
    """One load after another, until standard input is at its end."""
    for line in sys.stdin.buffer:
        loaded = uvloop.run(run(msgspec.json.decode(line, type=Load)))
        sys.stdout.buffer.write(msgspec.json.encode(loaded) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
