"""Engines made of code that can be told to fail, and the pool of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from learner.engines import Engines

FRAME = b'data: {"model": "r1", "choices": [{"index": 0, "delta": {"content": "word"}}]}\n\n'


class Scripted:
    """Has every token of a version likely by `-1.0 - off`; a version of `answers_by` answers by another's name."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}
        self.unloaded: list[str] = []
        self.asked: list[str] = []  # the version of each request
        self.off = 0.0
        self.answers_by: dict[str, str] = {}
        self.load_status = 200
        self.frames_until_lost: int | None = None  # of a stream
        self.hangs = False  # it takes requests, and does nothing
        self.before_scoring: Callable[[str], Awaitable[None]] | None = None
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def score(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body["model"])
        while self.hangs:
            await asyncio.sleep(0.02)
        if self.before_scoring is not None:
            await self.before_scoring(body["model"])
        if body["model"] not in self.loaded:
            return web.json_response({"message": f"no model {body['model']}"}, status=404)
        rows = [None, *({str(token): {"logprob": -1.0 - self.off}} for token in body["prompt"][1:])]
        name = self.answers_by.get(body["model"], body["model"])
        return web.json_response({"model": name, "choices": [{"prompt_logprobs": rows}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body["model"])
        if not body.get("stream"):
            return web.json_response({"model": body["model"], "choices": [{"message": {"content": self.url}}]})
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(3 if self.frames_until_lost is None else self.frames_until_lost):
            await response.write(FRAME)
        if self.frames_until_lost is None:
            await response.write(b"data: [DONE]\n\n")
        elif request.transport is not None:
            await asyncio.sleep(0.05)  # for what was written to arrive
            request.transport.abort()
        return response

    async def load(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.load_status == 200:
            self.loaded[body["lora_name"]] = body["lora_path"]
        return web.json_response({"message": "as told"}, status=self.load_status)

    async def unload(self, request: web.Request) -> web.Response:
        name = (await request.json())["lora_name"]
        self.unloaded.append(name)
        return web.Response(status=404 if self.loaded.pop(name, None) is None else 200)

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name, "root": root} for name, root in self.loaded.items()]})

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def metrics(self, _: web.Request) -> web.Response:
        """Idle, unless it hangs; and no step is ever taken."""
        return web.Response(text=f"vllm:num_requests_running {float(self.hangs)}\nvllm:iteration_tokens_total_count 7.0\n")

    async def start(self) -> None:
        app = web.Application()
        for path, handler in {
            "/v1/completions": self.score,
            "/v1/chat/completions": self.chat,
            "/v1/load_lora_adapter": self.load,
            "/v1/unload_lora_adapter": self.unload,
        }.items():
            app.router.add_post(path, handler)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        await web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def die(self) -> None:
        """Nothing listens at the address afterwards, and what was loaded is forgotten."""
        assert self._runner is not None
        await self._runner.cleanup()
        gc.collect()  # asyncio leaves what it accepted while closing open, in a cycle: its client would wait for ever
        self.loaded.clear()


@asynccontextmanager
async def scripted_pool(count: int, router: Scripted | None = None) -> AsyncIterator[tuple[Engines, list[Scripted]]]:
    """So many engines, all with base and in the pool."""
    engines = [Scripted() for _ in range(count)]
    async with AsyncExitStack() as opened:
        for engine in [*engines, *([router] if router else [])]:
            await engine.start()
            opened.push_async_callback(engine.die)
            engine.loaded["base"] = "/adapters/base"
        pool = Engines(router.url if router else None)
        for engine in engines:
            pool.add(engine.url).in_pool = True
        yield await opened.enter_async_context(pool), engines


def folder(tmp_path: Path, name: str) -> Path:
    """An adapter's folder, for an engine that does not look into it."""
    (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path / name


def chat_body(text: str) -> dict[str, object]:
    return {"model": "base", "messages": [{"role": "user", "content": text}], "stream": True}
