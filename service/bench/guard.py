"""What the policy costs: the time that a prompt and each frame of a streamed answer wait for it, and how much it holds back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from msgspec import Struct

from learner.engine import Choice, Completion, Delta
from learner.policy import Policy
from service.bench import commit, machine
from service.guard import Guard
from service.wire import ChatMessage

TEXT = (
    "The blue whale is the largest animal that has ever lived on Earth, and it may grow to thirty metres. It feeds on krill, of "
    "which it takes several tonnes a day, and it travels from cold waters, where there is food, to warm ones, where its calves "
    "are born. People hunted it for its oil until there were few left; since it is protected, there are more of them again.\n\n"
    "1. Length: up to 30 m\n2. Weight: up to 190 t\n3. Food: mostly krill\n\n```python\ndef add(first: int, second: int) -> int:\n"
    "    return first + second\n```\nYou can write to the museum at any time, or call in on weekdays. "
)


class Size(Struct, frozen=True):
    answers: int = 200
    words: int = 400  # of an answer, each a frame


QUICK = Size(answers=2, words=100)


class Quantiles(Struct, frozen=True):
    p50: float
    p99: float


class GuardFigures(Struct, frozen=True):
    """`frame_us` has what handling a frame takes with the policy and without one; `held_frames` wait at most at any time."""

    rules: int
    frame_us: dict[str, Quantiles]
    prompt_us: Quantiles
    held_frames: int
    machine: str
    commit: str
    seconds: float
    size: Size


def measure_guard(policy: Policy, size: Size) -> GuardFigures:
    """On one core, without an engine."""
    began = time.perf_counter()
    guarded, bare = Guard(policy), Guard(None)
    words = list(_words(size.words))
    on_us: list[float] = []
    off_us: list[float] = []
    held = 0
    for _ in range(size.answers):
        took_us, most = _stream(guarded, words)
        on_us += took_us
        held = max(held, most)
        off_us += _stream(bare, words)[0]
    prompts_us = asyncio.run(_prompts(guarded, size.answers))
    frames = {"on": _quantiles(on_us), "off": _quantiles(off_us)}
    seconds = time.perf_counter() - began
    return GuardFigures(len(policy.rules), frames, _quantiles(prompts_us), held, machine(), commit(), seconds, size)


def _words(count: int) -> Iterator[str]:
    """Of the text, over and over."""
    found = [f"{word} " for word in TEXT.split(" ")]
    return (found[number % len(found)] for number in range(count))


def _stream(guard: Guard, words: Sequence[str]) -> tuple[list[float], int]:
    """The microseconds that each frame of an answer takes, and how many wait at most."""
    watch, took_us, waiting, most = guard.watch(), [], 0, 0
    for word in words:
        frame = Completion(model="base", choices=[Choice(delta=Delta(word))])
        began = time.perf_counter()
        passed = watch.take(frame)
        took_us.append((time.perf_counter() - began) * 1e6)
        waiting += 1 - len(passed)
        most = max(most, waiting)
    watch.finish()
    return took_us, most


async def _prompts(guard: Guard, count: int) -> list[float]:
    took_us = []
    for number in range(count):
        asked = [ChatMessage("user", f"{number}: {TEXT[: 40 + 7 * number % 800]}")]
        began = time.perf_counter()
        await guard.of_prompt(asked)
        took_us.append((time.perf_counter() - began) * 1e6)
    return took_us


def _quantiles(values: list[float]) -> Quantiles:
    ordered = sorted(values)
    return Quantiles(ordered[len(ordered) // 2], ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)])
