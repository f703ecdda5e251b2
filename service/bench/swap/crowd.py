"""The streams that run while versions are exchanged: each asks one question after another until the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from service.bench.heard import Heard, ask_body, hear
from service.bench.served import ServedError

PATIENCE_S = 600.0
POLL_S = 0.05


class Crowd:
    """So many people with a stream each. `heard` has every answer that came to an end, in order."""

    def __init__(self, http: aiohttp.ClientSession, url: str, streams: int, answer_tokens: int) -> None:
        self._http, self._url, self._streams, self._answer_tokens = http, url, streams, answer_tokens
        self._ending = False
        self.heard: list[Heard] = []

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Inside, all of them talk; at the end each hears out the answer that it is being given."""
        talks = [asyncio.create_task(self._talk(number)) for number in range(self._streams)]
        try:
            yield
            self._ending = True
            await asyncio.gather(*talks)
        finally:
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def answered_by(self, version: str, count: int) -> None:
        """Waits until so many answers more of a version have ended: how long that takes is the machine's affair.

        Raises `ServedError` where they do not.
        """
        seen, deadline, found = len(self.heard), time.monotonic() + PATIENCE_S, 0
        while found < count:
            if time.monotonic() > deadline:
                raise ServedError(f"{version} ended {found} of {count} answers within {PATIENCE_S:g} s")
            await asyncio.sleep(POLL_S)
            found += sum(f"ratchet@{version}" in heard.models for heard in self.heard[seen:])
            seen = len(self.heard)

    async def _talk(self, number: int) -> None:
        turn = 0
        while not self._ending:
            turn += 1
            body = ask_body(f"Tell me story number {number} in {turn} chapters.", self._answer_tokens, temperature=1.0)
            heard = await hear(self._http, self._url, f"talker-{number}", body)
            self.heard.append(heard)
            if not heard.whole:
                await asyncio.sleep(POLL_S)
