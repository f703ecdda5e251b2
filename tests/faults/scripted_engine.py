"""An engine that speaks vLLM's HTTP for scoring, and goes wrong in ways that a real one cannot be made to."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class ScriptedEngine:
    """`likes[version]` is what the version adds to log-probs of tokens; `serves` says which version answers for another."""

    likes: dict[str, dict[int, float]] = field(default_factory=dict)
    serves: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, str] = field(default_factory=dict)
    url: str = ""
    asked: int = 0
    before_scoring: Callable[[ScriptedEngine], Awaitable[None]] | None = None  # each time, once it has been counted
    spoilt: float | None = None  # the log-prob of every token from now on

    def logprob(self, version: str, token: int) -> float:
        if self.spoilt is not None:
            return self.spoilt
        noise = zlib.crc32(f"{token}".encode()) % 100 / 1000
        return -2.0 - noise + self.likes.get(self.serves.get(version, version), {}).get(token, 0.0)

    async def score(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.before_scoring is not None:
            await self.before_scoring(self)
        body = await request.json()
        rows = [None, *({str(token): {"logprob": self.logprob(body["model"], token)}} for token in body["prompt"][1:])]
        return web.Response(text=json.dumps({"model": body["model"], "choices": [{"prompt_logprobs": rows}]}))

    async def complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        said = {"content": f"An answer of {body['model']}."}
        return web.Response(text=json.dumps({"model": body["model"], "choices": [{"message": said}]}))

    async def load(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.loaded[body["lora_name"]] = body["lora_path"]
        return web.Response()

    async def models(self, _: web.Request) -> web.Response:
        return web.Response(text=json.dumps({"data": [{"id": name, "root": root} for name, root in self.loaded.items()]}))


@asynccontextmanager
async def scripted_engine(likes: dict[str, dict[int, float]]) -> AsyncIterator[ScriptedEngine]:
    engine = ScriptedEngine(likes)
    app = web.Application(client_max_size=2**24)
    routes = {"/v1/completions": engine.score, "/v1/chat/completions": engine.complete, "/v1/load_lora_adapter": engine.load}
    app.add_routes([web.post(path, handler) for path, handler in routes.items()])
    app.router.add_get("/v1/models", engine.models)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    engine.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    try:
        yield engine
    finally:
        await runner.cleanup()


async def hang(engine: ScriptedEngine) -> None:
    await asyncio.sleep(600)
