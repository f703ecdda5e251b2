"""The service as people made of code, and their operator, reach it: over HTTP, as everybody does."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp
import msgspec

from learner.simulated.home import Say
from learner.simulated.user import SimulationError

ANSWER_TOKENS = 256
TEMPERATURE = 0.7
TURNED_AWAY = (429, 503)
AGAIN_S = 1.0
PATIENCE_S = 600.0


class Client(Protocol):
    """Calls of a service's routes."""

    async def call(self, method: str, path: str, body: object = None, key: str | None = None) -> Any:
        """The decoded answer; with the operator's key where none is given. Raises `SimulationError` for a refusal."""


class HttpClient:
    """The client of a service that runs somewhere. Who is turned away for too much at once asks again, for ten minutes."""

    def __init__(self, http: aiohttp.ClientSession, url: str, operator_key: str) -> None:
        self._http, self._url, self._operator_key = http, url.rstrip("/"), operator_key

    async def call(self, method: str, path: str, body: object = None, key: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._operator_key if key is None else key}", "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            async with self._http.request(method, self._url + path, data=data, headers=headers) as response:
                answer = await response.read()
            if response.status < 400:
                return msgspec.json.decode(answer)
            if response.status not in TURNED_AWAY or time.monotonic() > deadline_s:
                raise SimulationError(f"{method} {path}: {response.status} {answer[:300].decode(errors='replace')}")
            await asyncio.sleep(AGAIN_S)


@asynccontextmanager
async def connected(url: str, operator_key: str) -> AsyncIterator[Client]:
    """A client until the end of the block; it waits for an answer as long as that takes."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        yield HttpClient(http, url, operator_key)


class Said(msgspec.Struct, frozen=True):
    """An answer, and the id by which it is voted on."""

    id: str
    text: str


async def ask(client: Client, prompt: str, key: str, seed: str, store: bool) -> Said:
    """The live version's answer: the same one for the same seed and version, as far as the engine keeps to it."""
    body = {
        "model": "ratchet",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": ANSWER_TOKENS,
        "temperature": TEMPERATURE,
        "seed": int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]),
        "store": store,
    }
    completion = await client.call("POST", "/v1/chat/completions", body, key)
    return Said(completion["id"], completion["choices"][0]["message"]["content"])


async def give(client: Client, key: str, completion_id: str, thumb: bool | None, correction: str | None = None) -> None:
    """Gives a vote, a correction, both or neither."""
    said: dict[str, object] = {"completion_id": completion_id}
    if thumb is not None:
        said["thumb"] = "up" if thumb else "down"
    if correction is not None:
        said["correction"] = correction
    if len(said) > 1:
        await client.call("POST", "/v1/feedback", said, key)


async def pass_time(client: Client, seconds: float) -> bool:
    """Moves the service's clock, and says whether it has one that can be moved."""
    try:
        await client.call("POST", "/api/clock", {"seconds": seconds})
    except SimulationError:
        return False
    return True


async def score_baseline(client: Client, say: Say) -> None:
    """Returns once base is scored on the frozen suites, which takes minutes in a new home."""
    say("scoring base on the frozen suites, once per home")
    await client.call("POST", "/api/baseline")
