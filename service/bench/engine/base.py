"""Whether the bare model's log-probs stay the same to the bit while adapters run beside it.

A product's last bits may depend on how many rows it has. So batches of the same shape are compared: a text is scored, one
at a time, beside as many running answers, which in one case are the bare model's too and in the other are adapters'. Each
text is scored several times, since what else the engine does may change its bits as well; how often is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from msgspec import Struct

from learner.engine import Engine, EngineError
from service.supervisor import NOBODY

Score = Callable[[Sequence[int]], Awaitable[list[float]]]  # a text → its log-probs under the bare model
Running = Callable[[Sequence[str]], AbstractAsyncContextManager[None]]  # has each of the models answer meanwhile
Variants = list[set[tuple[float, ...]]]  # of each text, the log-probs that were seen


class BaseFigures(Struct, frozen=True):
    """`unchanged`: beside adapters no text had log-probs that it did not also have beside the bare model's answers."""

    unchanged: bool
    variants: int  # how many a text had at most beside the bare model's answers; 1 where the engine repeats itself to the bit
    max_difference: float  # in nats, of a token beside adapters from the nearest it had beside the bare model's
    alone_unchanged: bool  # the same for texts scored alone, in batches of another shape: rounding may tell them apart
    scored: int  # texts, each time counted, beside adapters


async def measure_base(
    score: Score, run: Running, adapters: Sequence[str], texts: Sequence[Sequence[int]], repeats: int
) -> BaseFigures:
    """Scores each text so many times: alone, beside an answer of the bare model for each adapter, and beside the adapters'."""
    alone = await _score_all(score, texts, repeats)
    async with run([NOBODY] * len(adapters)):
        beside_base = await _score_all(score, texts, repeats)
    async with run(adapters):
        beside_adapters = await _score_all(score, texts, repeats)
    return BaseFigures(
        unchanged=_within(beside_adapters, beside_base),
        variants=max(len(seen) for seen in beside_base),
        max_difference=max(map(_difference, beside_adapters, beside_base)),
        alone_unchanged=_within(alone, beside_base),
        scored=len(texts) * repeats,
    )


async def _score_all(score: Score, texts: Sequence[Sequence[int]], repeats: int) -> Variants:
    """One after another: two at once would share a batch, or not, as it happens."""
    return [{tuple(await score(text)) for _ in range(repeats)} for text in texts]


def _within(found: Variants, known: Variants) -> bool:
    return all(seen <= before for seen, before in zip(found, known, strict=True))


def _difference(found: set[tuple[float, ...]], known: set[tuple[float, ...]]) -> float:
    def largest(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        return max(abs(one - other) for one, other in zip(a, b, strict=True))

    return max(min(largest(seen, before) for before in known) for seen in found)


@asynccontextmanager
async def running(engine: Engine, models: Sequence[str], prompt: str, max_tokens: int) -> AsyncIterator[None]:
    """Inside, each of the models is answering, past its first token. Raises `EngineError` where one ended before the block."""
    begun = [asyncio.Event() for _ in models]
    tasks = [
        asyncio.create_task(_answer(engine, model, prompt, max_tokens, event)) for model, event in zip(models, begun, strict=True)
    ]
    waiting = asyncio.create_task(_wait_all(begun))
    try:
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        _check_running(tasks)
        yield
        _check_running(tasks)
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


async def _wait_all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


def _check_running(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()
            raise EngineError(502, "an answer that was to run beside the scoring ended before it")


async def _answer(engine: Engine, model: str, prompt: str, max_tokens: int, begun: asyncio.Event) -> None:
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "ignore_eos": True,
        "stream": True,
    }
    async with aclosing(engine.stream(body, f"bench-{time.monotonic_ns()}")) as frames:
        async for frame in frames:
            if any(choice.token_ids or choice.delta.content for choice in frame.choices):
                begun.set()
