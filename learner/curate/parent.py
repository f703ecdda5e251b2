"""What the parent model says to a question by itself: what is in it is no new claim."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from learner import release
from learner.context import Context
from learner.engine import LOW_PRIORITY, EngineError, gather_limited

MAX_QUESTIONS = 200  # of a cycle; corrections of what else was asked are compared with the served answer alone
SAMPLES = 2  # of the answers to each
TEMPERATURE = 0.7
MAX_TOKENS = 128


async def ask_parent(context: Context, parent: str, questions: Sequence[str]) -> dict[str, list[str]]:
    """Answers of the parent by question, asked without the conversation around it. Raises `EngineError`."""
    if not questions:
        return {}
    await release.load(context, parent)
    asked = [(question, seed) for question in questions[:MAX_QUESTIONS] for seed in range(SAMPLES)]
    jobs = [partial(_ask, context, parent, question, seed) for question, seed in asked]
    answers: dict[str, list[str]] = {}
    said = await gather_limited(context.settings.evaluation_concurrency, jobs)
    for (question, _), answer in zip(asked, said, strict=True):
        answers.setdefault(question, []).append(answer)
    return answers


async def _ask(context: Context, parent: str, question: str, seed: int) -> str:
    body: dict[str, object] = {
        "model": parent,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": MAX_TOKENS,
        "temperature": TEMPERATURE,
        "seed": seed,
        "priority": LOW_PRIORITY,
    }
    completion = await context.engine.complete(body, "")
    if completion.model != parent:
        raise EngineError(500, f"asked {parent!r} what it says, but {completion.model!r} answered")
    return completion.choices[0].message.content or ""
