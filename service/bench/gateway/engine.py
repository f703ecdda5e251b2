"""An engine that is a script: it speaks vLLM's chat protocol, and costs next to nothing beside what is in front of it.

Run as `python -m service.bench.gateway.engine`; it prints its port, and ends when its standard input does. It says a word
at once and another each `PACE_MS`. One timer serves all answers: each is put into the slot of a wheel that turns by once
in that time, so that what falls due together is written together.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import cast

import msgspec
import uvloop
from httptools import HttpRequestParser
from msgspec import Struct

from service.bench.gateway.frames import PACE_MS, Script, plain_answer, response

SLOT_S = 0.001
DEFAULT_TOKENS = 16


class Asked(Struct):
    """What is looked at in a request, of whatever kind."""

    model: str = ""
    stream: bool = False
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    return_token_ids: bool = False
    prompt: list[int] = []
    lora_name: str = ""
    lora_path: str = ""


class Pacer:
    """A wheel of slots; what is in one is called once in a turn, until it says that it has nothing more."""

    def __init__(self) -> None:
        self._slots: list[list[Callable[[], bool]]] = [[] for _ in range(PACE_MS)]
        self._new: list[tuple[int, Callable[[], bool]]] = []  # with the slot each belongs to, once that has had this turn
        self._began, self._at, self.size = time.perf_counter(), 0, 0

    def add(self, step: Callable[[], bool]) -> None:
        """Calls it a turn from now, at most a slot earlier."""
        if not self.size:
            self._at = self._now()
            self._wait()
        self._new.append((self._now() % PACE_MS, step))
        self.size += 1

    def _turn(self) -> None:
        until = self._now()
        while self._at < until:  # a late timer makes up for it
            self._at += 1
            if slot := self._slots[self._at % PACE_MS]:
                kept = [step for step in slot if step()]
                self.size -= len(slot) - len(kept)
                slot[:] = kept
        for at, step in self._new:
            self._slots[at].append(step)
        self._new.clear()
        if self.size:
            self._wait()

    def _now(self) -> int:
        return int((time.perf_counter() - self._began) / SLOT_S)

    def _wait(self) -> None:
        asyncio.get_running_loop().call_later(SLOT_S, self._turn)


class Engine:
    """What all connections share."""

    def __init__(self) -> None:
        self._pacer, self._numbers, self._steps = Pacer(), count(), 0
        self._adapters: dict[str, str] = {}
        self._decode = msgspec.json.Decoder(Asked).decode

    def answer(self, path: bytes, body: bytes, transport: asyncio.WriteTransport) -> None:
        """Writes the whole response, or begins it and has the rest written in time."""
        asked = self._decode(body) if body else Asked()
        if path == b"/v1/chat/completions" and asked.stream:
            self._stream(asked, transport)
        else:
            transport.write(self._whole(path, asked))

    def _stream(self, asked: Asked, transport: asyncio.WriteTransport) -> None:
        script = Script(next(self._numbers), asked.model, _tokens(asked), asked.return_token_ids)
        self._steps += 1
        transport.write(script.begin())
        frames, said = script.frames, 1

        def step() -> bool:
            nonlocal said
            if transport.is_closing():
                return False
            transport.write(script.frame(said))
            said += 1
            self._steps += 1
            return said < frames

        if frames > 1:
            self._pacer.add(step)

    def _whole(self, path: bytes, asked: Asked) -> bytes:
        self._steps += 1
        match path:
            case b"/v1/chat/completions":
                return response(200, plain_answer(next(self._numbers), asked.model, _tokens(asked), asked.return_token_ids))
            case b"/v1/completions":
                return response(200, _scores(asked))
            case b"/v1/models":
                return response(200, msgspec.json.encode({"data": [{"id": n, "root": p} for n, p in self._adapters.items()]}))
            case b"/v1/load_lora_adapter":
                self._adapters[asked.lora_name] = asked.lora_path
                return response(200, b"loaded", "text/plain")
            case b"/v1/unload_lora_adapter":
                self._adapters.pop(asked.lora_name, None)
                return response(200, b"unloaded", "text/plain")
            case b"/metrics":
                return response(200, self._metrics(), "text/plain")
            case b"/health":
                return response(200, b"")
        return response(404, b'{"detail":"Not Found"}')

    def _metrics(self) -> bytes:
        figures = {"num_requests_running": self._pacer.size, "num_requests_waiting": 0, "iteration_tokens_total_count": self._steps}
        return "".join(f'vllm:{name}{{engine="0"}} {value:.1f}\n' for name, value in figures.items()).encode()


class Connection(asyncio.Protocol):
    """One client's, over which one request comes after another."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._parser = engine, HttpRequestParser(self)
        self._path, self._body = b"", bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path = url.partition(b"?")[0]

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = bytes(self._body), bytearray()
        self._engine.answer(self._path, body, self._transport)


def _tokens(asked: Asked) -> int:
    return asked.max_completion_tokens or asked.max_tokens or DEFAULT_TOKENS


def _scores(asked: Asked) -> bytes:
    """The log-probs of a prompt, each token's the same."""
    rows = [None, *({str(token): {"logprob": -1.0, "rank": 1}} for token in asked.prompt[1:])]
    choice = {"index": 0, "text": "", "prompt_logprobs": rows, "token_ids": [1], "finish_reason": "length"}
    return msgspec.json.encode({"model": asked.model, "choices": [choice]})


async def serve() -> None:
    """Prints the port, and serves until standard input is at its end."""
    engine = Engine()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(engine), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    uvloop.run(serve())
