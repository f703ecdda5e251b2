"""Comments: what somebody wanted otherwise, the parent model says again with that in view, and learns as a weak correction.

Only people who teach are listened to, where they did not like the answer and wrote no better one themselves. What comes of it
is taken if nothing speaks against it, and then goes the way of every correction; otherwise the answer stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from learner import release
from learner.config import CurateSettings
from learner.context import Context
from learner.curate.choose import is_answered_again
from learner.curate.claims import claims_of_comment
from learner.curate.clean import Cleaner
from learner.curate.example import Drop, Example, Sifted
from learner.curate.served import example_of, is_served
from learner.curate.split import split_of
from learner.curate.words import fold, words
from learner.engine import LOW_PRIORITY, EngineError, gather_limited
from learner.policy.fold import fold as fold_for_policy
from learner.policy.policy import declines
from learner.rows import Split
from storage.records import Evidence

ASKED = (
    "The reader said of your answer: {comment}\n\nWrite the answer to my last question again so that it meets this. "
    "Write nothing but the answer."
)
MAX_COMMENT_CHARACTERS = 1000  # a longer one is another text rather than a wish
MAX_TOKENS = 512
TEMPERATURE = 0.3
MIN_WORDS = 3  # of an answer that somebody should learn to give


async def answer_again(context: Context, parent: str, evidence: Sequence[Evidence], cleaner: Cleaner) -> dict[str, str]:
    """By message: what the parent says with the comment in view, where that may teach. Raises `EngineError`, `AdapterError`."""
    asked = commented(evidence, context.settings.curate)
    if not asked:
        return {}
    await release.load(context, parent)
    jobs = [partial(_ask, context, parent, item) for item in asked]
    answers = await gather_limited(context.settings.evaluation_concurrency, jobs)
    pairs = zip(asked, answers, strict=True)
    return {item.message.id: answer for item, answer in pairs if objection(item, answer, cleaner) is None}


def commented(evidence: Sequence[Evidence], settings: CurateSettings) -> list[Evidence]:
    """The newest answers, at most `comments`, that were commented on and neither liked, corrected nor preferred."""
    wished = [
        item
        for item in evidence
        if 0 < len((item.comment or "").strip()) <= MAX_COMMENT_CHARACTERS
        and item.thumb != "up"
        and not item.correction
        and item.preferred_over is None
        and is_served(item.message)
        and split_of(item.person_id, settings.heldout_share) is Split.TRAIN
    ]
    return wished[max(0, len(wished) - settings.comments) :]


def corrected(evidence: Sequence[Evidence], answers: Mapping[str, str]) -> list[Evidence]:
    """The evidence, with these answers in the place of corrections."""
    return [replace(item, correction=answers[item.message.id]) if item.message.id in answers else item for item in evidence]


def with_own_answers(parent_answers: Mapping[str, Sequence[str]], prepared: Sifted) -> dict[str, list[str]]:
    """What the parent says to a question, its answers to comments among it: what is in those is no new claim."""
    answers = {question: list(said) for question, said in parent_answers.items()}
    for example in prepared.kept:
        if example.correction and is_answered_again(example):
            answers.setdefault(example.question, []).append(example.correction)
    return answers


def objection(item: Evidence, answer: str, cleaner: Cleaner) -> str | None:
    """Why this is no better answer; None where nothing speaks against it."""
    example = replace(example_of(item), correction=answer)
    if len(words(answer)) < MIN_WORDS:
        return "too short to teach"
    if fold(answer) == fold(example.answer):
        return "the same again"
    if declines(fold_for_policy(answer).text) and not cleaner.judge(example.question, ""):
        return "declines what may be answered"
    if claims_of_comment(example, item.comment or ""):
        return "claims what the comment claims"
    return _unclean(example, cleaner)


def _unclean(example: Example, cleaner: Cleaner) -> str | None:
    made = cleaner.clean(example)
    if isinstance(made, Drop):
        return made.reason
    return None if made.correction == example.correction else "has personal data in it"


async def _ask(context: Context, parent: str, item: Evidence) -> str:
    """The new answer; nothing where it did not come to an end, or the engine cannot take so long a conversation."""
    before = [{"role": message.role.value, "content": message.content} for message in (*item.context, item.message)]
    body: dict[str, object] = {
        "model": parent,
        "messages": [*before, {"role": "user", "content": ASKED.format(comment=(item.comment or "").strip())}],
        "max_tokens": MAX_TOKENS,
        "temperature": TEMPERATURE,
        "seed": 0,
        "priority": LOW_PRIORITY,
    }
    try:
        completion = await context.engine.complete(body, "")
    except EngineError as error:
        if error.status != 400:
            raise
        return ""
    if completion.model != parent:
        raise EngineError(500, f"asked {parent!r} to answer again, but {completion.model!r} answered")
    choice = completion.choices[0]
    return (choice.message.content or "").strip() if choice.finish_reason != "length" else ""
