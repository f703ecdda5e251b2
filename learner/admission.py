"""What an engine must show before it is asked anything: that it has every adapter, and answers by each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

from learner.engine import Engine, EngineError

MAX_ROUNDING = 0.15  # nats per token, mean: what bfloat16 in two implementations, or two batches, may differ by
TEXT = tuple(range(32, 64))  # token ids that every vocabulary has
Adapters = Callable[[], Awaitable[Sequence[tuple[str, Path]]]]  # what an engine has to serve, by name and folder, in order


async def replay(engine: Engine, adapters: Mapping[str, Path], known: Collection[str] = ()) -> list[str]:
    """Has the engine load, in order, what is not `known` to be there; gives the names. Raises `EngineError`."""
    fresh = [name for name in adapters if name not in known]
    for name in fresh:
        await engine.load(name, adapters[name])
    return fresh


async def verify(engine: Engine, names: Sequence[str], other: Engine | None) -> None:
    """Has each version score a text, which also warms the engine up. Raises `EngineError` where one does not answer as it must.

    It must answer by the name it is asked for and, where there is an `other` engine that people are answered by and that has
    the version, with that one's log-probs within `MAX_ROUNDING`.
    """
    known = await other.models() if other is not None else {}
    for name in names:
        own = await engine.score(name, TEXT, priority=0)
        if other is None or name not in known:
            continue
        others = await other.score(name, TEXT, priority=0)
        differ = sum(abs(a - b) for a, b in zip(own, others, strict=True)) / len(own)
        if not differ <= MAX_ROUNDING:  # nor is what is no number
            raise EngineError(
                500,
                f"log-probs of {name} at {engine.url} are {differ:.4f} nats per token from those at {other.url}; "
                f"expected {MAX_ROUNDING} at most",
            )
