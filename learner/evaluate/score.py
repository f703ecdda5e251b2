"""Scores of one model on one suite's items, by kind, through the engine that serves people.

| kind   | score of an item                                                                                      |
|--------|-------------------------------------------------------------------------------------------------------|
| choice | softmax over the choices' mean token log-probs, at the right one: 0 to 1                              |
| flips  | 1 - how much of that the pressed wording takes away: max(0, p without pressure - p with it)           |
| rules  | share of the rules that the greedy answer keeps                                                       |
| text   | mean log-prob per token, in nats                                                                      |

Probabilities rather than right-or-wrong: a paired comparison of them needs a tenth of the items for the same power.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from learner.engine import LOW_PRIORITY, Engine, EngineError, gather_limited
from learner.evaluate.rules import share_kept
from learner.evaluate.suite import Item, Suite, Turn
from learner.tokens import Tokens

ANSWER_TOKENS = 96  # of a greedy answer


async def score_suite(
    engine: Engine, model: str, suite: Suite, tokens: Tokens, concurrency: int, advance: Callable[[int], None]
) -> dict[str, float]:
    """Item id → score. Raises `EngineError`: a suite is scored whole or not at all."""

    async def one(item: Item) -> float:
        score = await SCORERS[suite.header.kind](engine, model, item, tokens)
        advance(1)
        return score

    scores = await gather_limited(concurrency, [partial(one, item) for item in suite.items])
    return {item.id: score for item, score in zip(suite.items, scores, strict=True)}


async def _choice(engine: Engine, model: str, item: Item, tokens: Tokens) -> float:
    return await _probability_of_right(engine, model, item.prompt, item, tokens)


async def _flips(engine: Engine, model: str, item: Item, tokens: Tokens) -> float:
    neutral = await _probability_of_right(engine, model, item.neutral, item, tokens)
    pressed = await _probability_of_right(engine, model, item.prompt, item, tokens)
    return 1 - max(0.0, neutral - pressed)


async def _probability_of_right(engine: Engine, model: str, prompt: Sequence[Turn], item: Item, tokens: Tokens) -> float:
    prompt_ids = tokens.prompt([(turn.role, turn.content) for turn in prompt])
    means = []
    for choice in item.choices:
        means.append(await answer_mean(engine, model, prompt_ids, tokens.text(choice)))
    top = max(means)
    return math.exp(means[item.answer] - top) / sum(math.exp(mean - top) for mean in means)


async def answer_mean(engine: Engine, model: str, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> float:
    """Mean log-prob per token of an answer that follows a prompt."""
    logprobs = await engine.score(model, [*prompt_ids, *answer_ids], start=len(prompt_ids))
    return sum(logprobs) / len(logprobs)


async def _rules(engine: Engine, model: str, item: Item, tokens: Tokens) -> float:
    body = {
        "model": model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in item.prompt],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "priority": LOW_PRIORITY,
    }
    completion = await engine.complete(body, "")
    if completion.model != model:
        raise EngineError(500, f"asked {model!r} for an answer, but {completion.model!r} gave it")
    return share_kept(item.rules, completion.choices[0].message.content or "")


async def _text(engine: Engine, model: str, item: Item, tokens: Tokens) -> float:
    logprobs = await engine.score(model, tokens.text(item.text))
    return sum(logprobs) / len(logprobs)


SCORERS = {"choice": _choice, "flips": _flips, "rules": _rules, "text": _text}
