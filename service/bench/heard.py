"""One streamed answer as its client hears it: every frame with its time, the versions that were named, and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import aiohttp
import msgspec
from msgspec import Struct

DATA, DONE = b"data: ", b"[DONE]"


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Error(Struct):
    message: str = ""


class _Frame(Struct):
    id: str = ""
    model: str = ""
    choices: list[_Choice] = []
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Frame).decode


@dataclass
class Heard:
    """Times are seconds by `time.perf_counter`. `error` is why it did not end whole; `status` is HTTP's, 0 without an answer."""

    asked_at: float = field(default_factory=time.perf_counter)
    frames_at: list[float] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)
    id: str = ""
    status: int = 0
    finish_reason: str | None = None
    done: bool = False
    left: bool = False  # its client went away
    told: bool = False  # that it broke off, by an event that says why
    error: str = ""

    @property
    def whole(self) -> bool:
        return self.done and self.finish_reason is not None and not self.error

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def first_ms(self) -> float:
        """From the request to the first frame. Only of an answer that has one."""
        return (self.frames_at[0] - self.asked_at) * 1000

    def take(self, data: bytes, now: float) -> None:
        """The data of one event."""
        if data == DONE:
            self.done = True
            return
        frame = _decode(data)
        if frame.error is not None:
            self.told, self.error = True, frame.error.message or "an error without a message"
            return
        self.id = self.id or frame.id
        self.models.add(frame.model)
        for choice in frame.choices:
            self.frames_at.append(now)
            self.finish_reason = choice.finish_reason or self.finish_reason
            if choice.delta.content:
                self.words.append(choice.delta.content)

    def stall_ms(self, start: float, end: float) -> float | None:
        """The longest gap between frames that reaches into a span of time, less the usual gap (the median of this answer).

        None for an answer that did not run when the span began, or is too short to have a usual gap.
        """
        if len(self.frames_at) < 4 or not self.frames_at[0] <= start < self.frames_at[-1]:
            return None
        reaching = [after - before for before, after in pairwise(self.frames_at) if after > start and before < end]
        usual = median(after - before for before, after in pairwise(self.frames_at))
        return (max(reaching) - usual) * 1000


def ask_body(prompt: str, max_tokens: int, **options: object) -> dict[str, object]:
    """A request for an answer of the live version to one message."""
    return {"model": "ratchet", "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens, **options}


async def hear(
    http: aiohttp.ClientSession,
    url: str,
    key: str,
    body: Mapping[str, object],
    heard: Heard | None = None,
    leave_after: int | None = None,
    pause_s: float = 0.0,
) -> Heard:
    """Asks for a stream and hears it to its end, whatever that is. `heard` is filled as frames come.

    A client may go away after so many frames, and may take so long over each.
    """
    heard = heard or Heard()
    request = http.post(f"{url}/v1/chat/completions", json={**body, "stream": True}, headers={"Authorization": f"Bearer {key}"})
    try:
        async with request as response:
            heard.status = response.status
            if response.status != 200:
                heard.error = _refusal(await response.read())
                return heard
            async for line in response.content:
                if line.startswith(DATA):
                    heard.take(line[len(DATA) :].strip(), time.perf_counter())
                    if leave_after is not None and len(heard.frames_at) >= leave_after and not heard.done:
                        heard.left = True
                        response.close()
                        return heard
                    await asyncio.sleep(pause_s)
    except (aiohttp.ClientError, msgspec.DecodeError, TimeoutError, OSError) as error:
        heard.error = heard.error or f"{type(error).__name__}: {error}"
    if not heard.whole:
        heard.error = heard.error or f"the stream ended without saying that it was done (finish_reason {heard.finish_reason})"
    return heard


def _refusal(data: bytes) -> str:
    error = _decode(data).error
    return error.message if error and error.message else data.decode(errors="replace") or "refused without a word"
