"""An engine that speaks vLLM's HTTP for chats, and answers each as a script says: whole, wrong, broken off, or never.

It runs in a thread with a loop of its own, so that nothing that happens to a service under test happens to it.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from service.config import Config

DONE = b"data: [DONE]\n\n"
WORDS = ("Blue", " whales", " — größte", " Tiere", " 🐋.")  # of the answer that an engine gives where nothing is scripted
END_S = 10


class Talk:
    """A request for a chat, and the answer to it as its script writes it."""

    def __init__(self, request: web.Request, body: dict[str, Any]) -> None:
        self.body = body
        self.sent_bytes = 0
        self.ended = threading.Event()  # however it ended
        self.aborted_at_s: float | None = None  # by the monotonic clock, when the service went away before the end
        self.whole: web.Response | None = None
        self._request = request
        self._stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})

    async def send(self, data: bytes) -> None:
        """Bytes of a stream, as one write; what is sent after a pause comes to the service by itself."""
        if not self._stream.prepared:
            await self._stream.prepare(self._request)
        await self._stream.write(data)
        self.sent_bytes += len(data)

    async def say(self, *words: str) -> None:
        """A frame of the stream for each."""
        for word in words:
            await self.send(self.frame({"content": word}, token_ids=[len(word)]))

    async def finish(self) -> None:
        await self.send(self.last())

    async def answer(self, *words: str) -> None:
        """The whole answer, as it was asked for: streamed or plain."""
        if self.body.get("stream"):
            await self.say(*words)
            await self.finish()
        else:
            choice = {"index": 0, "message": {"content": "".join(words)}, "finish_reason": "stop", "token_ids": [1]}
            self.reply(200, {"model": self.body["model"], "choices": [choice]})

    def reply(self, status: int, body: object) -> None:
        """The answer that is not a stream."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.whole = web.Response(status=status, body=data, content_type="application/json")

    def refuse(self, status: int, message: str) -> None:
        self.reply(status, {"error": {"message": message, "type": "Error", "code": status}})

    def break_off(self) -> None:
        """Resets the connection."""
        assert self._request.transport is not None
        self._request.transport.abort()

    def frame(self, delta: dict[str, str], **choice: object) -> bytes:
        return self.event({"choices": [{"index": 0, "delta": delta, **choice}]})

    def last(self) -> bytes:
        """The last frame of a stream, its usage, and the word that it is done."""
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        return self.frame({}, finish_reason="stop") + self.event({"choices": [], "usage": usage}) + DONE

    def event(self, body: dict[str, Any]) -> bytes:
        head = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1, "model": self.body["model"]}
        return f"data: {json.dumps(head | body, ensure_ascii=False)}\n\n".encode()

    @property
    def response(self) -> web.StreamResponse:
        return self.whole or self._stream


Script = Callable[[Talk], Awaitable[None]]


async def answers(talk: Talk) -> None:
    await talk.answer(*WORDS)


async def hangs(talk: Talk) -> None:
    """Takes the request and says nothing to it."""
    await asyncio.sleep(600)


class ScriptedChat:
    """`script` answers the requests that come from now on; `talks` are those that came, in order."""

    def __init__(self) -> None:
        self.script: Script = answers
        self.talks: list[Talk] = []
        self.loaded: dict[str, str] = {}
        self.loading = True  # it is starting, and says so at /health
        self.url = ""
        self.scored = 0  # texts whose log-probs were asked for
        self._running = self._steps = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        talk = Talk(request, await request.json())
        self.talks.append(talk)
        self._running += 1
        try:
            await self.script(talk)
            return talk.response
        except (asyncio.CancelledError, ConnectionError):
            talk.aborted_at_s = time.monotonic()
            raise
        finally:
            self._running -= 1
            talk.ended.set()

    async def score(self, request: web.Request) -> web.Response:
        self.scored += 1
        body = await request.json()
        rows = [None, *({str(token): {"logprob": -1.0}} for token in body["prompt"][1:])]
        return web.json_response({"model": body["model"], "choices": [{"prompt_logprobs": rows}]})

    async def load(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not Path(body["lora_path"]).is_dir():
            return web.json_response({"error": {"message": f"no adapter at {body['lora_path']}"}}, status=404)
        self.loaded[body["lora_name"]] = body["lora_path"]
        return web.Response()

    async def unload(self, request: web.Request) -> web.Response:
        known = self.loaded.pop((await request.json())["lora_name"], None)
        return web.Response(status=200 if known else 404)

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name, "root": root} for name, root in self.loaded.items()]})

    async def health(self, _: web.Request) -> web.Response:
        return web.Response(status=503 if self.loading else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        """It says that it goes on, whatever its scripts do."""
        self._steps += 1
        return web.Response(
            text=f"vllm:num_requests_running {self._running}.0\nvllm:iteration_tokens_total_count {self._steps}.0\n"
        )


def config_for(url: str, model_dir: Path, silence_s: float = 30.0, **server: object) -> Config:
    """Settings of a service before such an engine."""
    engine = {"urls": [url], "watch_interval_s": 0.1, "timeouts": {"silence_s": silence_s, "answer_s": 2 * silence_s}}
    settings = {
        "model": str(model_dir),
        "clock": "injected",
        "server": {"answers_per_person": 64, **server},
        "engine": engine,
        "learner": {"schedule": {"enabled": False}},
    }
    return msgspec.convert(settings, Config)


@contextmanager
def scripted_chat(loading: bool = False) -> Iterator[ScriptedChat]:
    """An engine until the end of the block."""
    engine = ScriptedChat()
    engine.loading = loading
    with served(engine) as engine.url:
        yield engine


@contextmanager
def served(engine: Any) -> Iterator[str]:
    """The address of an engine made for tests, which is there until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(_serve(engine), loop).result(END_S)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(END_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def routes_of(engine: Any) -> list[web.RouteDef]:
    """vLLM's routes that Ratchet asks, by an engine made for tests."""
    return [
        web.post("/v1/chat/completions", engine.chat),
        web.post("/v1/completions", engine.score),
        web.post("/v1/load_lora_adapter", engine.load),
        web.post("/v1/unload_lora_adapter", engine.unload),
        web.get("/v1/models", engine.models),
        web.get("/health", engine.health),
        web.get("/metrics", engine.metrics),
    ]


async def _serve(engine: Any) -> web.AppRunner:
    app = web.Application(client_max_size=2**24)
    app.add_routes(routes_of(engine))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner
