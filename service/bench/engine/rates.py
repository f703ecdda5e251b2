"""Tokens per second of answers, by arm: the bare model, one adapter for all requests, several adapters mixed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from statistics import median

from msgspec import Struct

from learner.engine import Engine, EngineError
from service.bench.learner.run import turned

Ask = Callable[[str, str], Awaitable[int]]  # a model and a prompt → the tokens of its answer


class Arm(StrEnum):
    BASE = "base"
    ONE = "one"
    MIX = "mix"


class Rates(Struct, frozen=True):
    """Tokens per second, medians over rounds; the ratios are medians of those within a round."""

    base: float
    one: float
    mix: float
    one_of_base: float
    mix_of_base: float


def ask_for(engine: Engine, answer_tokens: int) -> Ask:
    """Asks for answers of just so many tokens. Raises `EngineError` where one is of another length."""

    async def ask(model: str, prompt: str) -> int:
        body: dict[str, object] = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": answer_tokens,
            "ignore_eos": True,
            "temperature": 0.0,
        }
        answer = await engine.complete(body, f"bench-{time.monotonic_ns()}")
        said = answer.usage.completion_tokens if answer.usage else None
        if said != answer_tokens:
            raise EngineError(502, f"{model} answered with {said} tokens, expected {answer_tokens}")
        return answer_tokens

    return ask


async def measure_rates(
    ask: Ask, versions: Mapping[Arm, Sequence[str]], prompts: Sequence[str], rounds: int, say: Callable[[str], None]
) -> Rates:
    """Every arm once a round, each round beginning with another; a first turn of each does not count.

    After that turn the engine has met each prompt under each version, so that no arm finds more in the prefix cache.
    """
    per_s: dict[Arm, list[float]] = {arm: [] for arm in Arm}
    for arm in Arm:
        await _take_turn(ask, versions[arm], prompts)
    for number in range(rounds):
        for arm in turned([*Arm], number):
            say(f"round {number + 1} of {rounds}: {arm}")
            per_s[arm].append(await _take_turn(ask, versions[arm], prompts))
    return summarize(per_s)


async def _take_turn(ask: Ask, models: Sequence[str], prompts: Sequence[str]) -> float:
    """All prompts at once, by the models in turn; tokens per second until the last answer."""
    began = time.perf_counter()
    tokens = await asyncio.gather(*(ask(models[at % len(models)], prompt) for at, prompt in enumerate(prompts)))
    return sum(tokens) / (time.perf_counter() - began)


def summarize(per_s: Mapping[Arm, Sequence[float]]) -> Rates:
    """Of one round or more; the n-th rate of each arm is of the same round."""
    base = per_s[Arm.BASE]
    return Rates(
        base=median(base),
        one=median(per_s[Arm.ONE]),
        mix=median(per_s[Arm.MIX]),
        one_of_base=median(one / of for one, of in zip(per_s[Arm.ONE], base, strict=True)),
        mix_of_base=median(mix / of for mix, of in zip(per_s[Arm.MIX], base, strict=True)),
    )
