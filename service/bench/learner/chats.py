"""How long a chat waits for its first word while training runs, compared with idle: the real engine, and training niced as ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from statistics import quantiles

from msgspec import Struct

from learner.adapter import BASE, make_zero_adapter
from learner.engine import Engine, EngineError
from learner.jobs import JobError
from service.settings import EngineSettings
from service.supervisor import Supervisor

WARM_UP = 3  # chats before the first that counts
ANSWER_TOKENS = 16
Ask = Callable[[str], Awaitable[float]]  # a prompt → milliseconds until the answer begins
Train = Callable[[Callable[[], None]], Awaitable[object]]  # calls back after each step


class ChatFigures(Struct, frozen=True):
    """Milliseconds to the first token, by percentile."""

    idle_ms: dict[str, float]
    training_ms: dict[str, float]

    @property
    def ratio(self) -> float:
        return self.training_ms["p95"] / self.idle_ms["p95"]


async def measure_chats(model_dir: Path, folder: Path, rank: int, prompts: Sequence[str], count: int, train: Train) -> ChatFigures:
    """Starts an engine with base, and asks it so many times each. Raises `EngineError` where it does not start."""
    base_dir, settings = folder / BASE, EngineSettings(lora_rank=rank)
    make_zero_adapter(model_dir, base_dir, rank)

    async def adapters() -> list[tuple[str, Path]]:
        return [(BASE, base_dir)]

    supervisor = Supervisor(settings, model_dir, folder / "engine", adapters)
    await supervisor.start()
    try:
        await supervisor.wait_ready(settings.start_timeout_s)
        async with Engine(supervisor.url) as engine:
            return await compare_chats(lambda prompt: first_token_ms(engine, prompt), train, prompts, count)
    finally:
        await supervisor.stop()


async def compare_chats(ask: Ask, train: Train, prompts: Sequence[str], count: int) -> ChatFigures:
    """One chat after another, each with another prompt while there are enough: the engine remembers those it has seen.

    Raises `JobError` where training ends before the chats do.
    """
    asked = [prompts[at % len(prompts)] for at in range(WARM_UP + 2 * count)]
    idle = [await ask(prompt) for prompt in asked[: WARM_UP + count]][WARM_UP:]
    begun = asyncio.Event()
    training = asyncio.ensure_future(train(begun.set))
    waiting = asyncio.ensure_future(begun.wait())
    try:
        await asyncio.wait([training, waiting], return_when=asyncio.FIRST_COMPLETED)
        busy = [] if training.done() else [await ask(prompt) for prompt in asked[-count:]]
        if training.done():
            await training
            raise JobError(f"training ended before {count} chats were answered: give it more rows or passes")
    finally:
        training.cancel()
        waiting.cancel()
        await asyncio.wait([training, waiting])
    return ChatFigures(_percentiles(idle), _percentiles(busy))


async def first_token_ms(engine: Engine, prompt: str) -> float:
    """Asks base, and reads the answer to its end. Raises `EngineError`."""
    body: dict[str, object] = {
        "model": BASE,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": ANSWER_TOKENS,
        "stream": True,
    }
    began, first_at = time.perf_counter(), 0.0
    async with aclosing(engine.stream(body, f"bench-{time.monotonic_ns()}")) as frames:
        async for frame in frames:
            if not first_at and any(choice.delta.content for choice in frame.choices):
                first_at = time.perf_counter()
    if not first_at:
        raise EngineError(502, f"the engine answered {prompt!r} with nothing")
    return (first_at - began) * 1000


def _percentiles(taken_ms: Sequence[float]) -> dict[str, float]:
    twentieths = quantiles(taken_ms, n=20)
    return {"p50": twentieths[9], "p95": twentieths[18]}
