"""From what was served to what is learnt: evidence as an example to curate, and an example as a row of tokens.

| what its owner said               | row                                                                              |
|-----------------------------------|----------------------------------------------------------------------------------|
| wrote a better answer             | correction: `answer_ids` as served, `better_ids` the correction                  |
| prefers it over another, and does | preference: `answer_ids` the other's, `better_ids` its own; no label, since what |
| not dislike it                    | was said is of the two together                                                  |
| voted                             | thumb: `answer_ids` as served, with the vote as label                            |
"""

from __future__ import annotations

from msgspec.structs import replace

from learner.curate.example import Example, Said
from learner.rows import Row, RowKind, Split
from learner.tokens import Tokens
from storage.records import Evidence, Message

NO_OPINION, NO_RIVAL = "no vote or correction", "preferred over no answer to the same question"
NOT_SERVED = "not known to be a served version's own words"
TOO_LONG = "too long"


def example_of(item: Evidence) -> Example:
    """Evidence as curation looks at it."""
    return Example(
        id=item.message.id,
        person_id=item.person_id,
        conversation_id=item.message.conversation_id,
        prompt=tuple(Said(message.role, message.content, message.status) for message in item.context),
        answer=item.message.content,
        thumb=item.thumb,
        correction=item.correction or None,
        reasons=item.reasons,
        said_at_s=item.updated_at_s,
        finish_reason=item.message.finish_reason,
        worse=other.content if (other := rival(item)) else None,
    )


def rival(item: Evidence) -> Message | None:
    """The answer that this one is learnt as better than: to the same question, served too. None where its owner dislikes this
    one, or wrote a better one."""
    other = item.preferred_over
    if other is None or item.thumb == "down" or item.correction:
        return None
    is_sibling = (other.conversation_id, other.parent_id) == (item.message.conversation_id, item.message.parent_id)
    return other if is_sibling and is_served(other) else None


def is_served(message: Message) -> bool:
    """Whether its tokens are known to be those of the version that was asked."""
    return message.adapter is not None and message.engine_model == message.adapter and bool(message.token_ids)


def unfit(item: Evidence, tokens: Tokens, max_tokens: int) -> str | None:
    """Why this can be no row; None where it can."""
    message, other = item.message, rival(item)
    if item.thumb is None and not item.correction and other is None:
        return NO_RIVAL if item.preferred_over else NO_OPINION
    if not is_served(message):
        return NOT_SERVED
    answers = [len(message.token_ids), len(other.token_ids) if other else 0]
    answers += [len(tokens.answer(item.correction))] if item.correction else []
    return TOO_LONG if len(message.prompt_token_ids) + max(answers) > max_tokens else None


def to_row(example: Example, item: Evidence, tokens: Tokens, split: Split) -> Row:
    """The tokens are the very ones that were served, but where something was redacted.

    A held-out answer with a thumb is a thumb whatever else was said: votes are what candidates are judged by.
    """
    prompt_ids, served = item.message.prompt_token_ids, example_of(item)
    if example.prompt != served.prompt:
        prompt_ids = tuple(tokens.prompt([(said.role, said.content) for said in example.prompt]))
    answer_ids = _answer_ids(example.answer, item.message, tokens)
    label = {"up": 1, "down": -1}.get(example.thumb or "", 0)
    drawn_at = 1.0 if item.message.temperature is None else item.message.temperature
    row = Row(
        id=example.id,
        person_id=example.person_id,
        kind=RowKind.THUMB,
        split=split,
        weight=example.weight,
        prompt_ids=prompt_ids,
        answer_ids=answer_ids,
        label=label,
        temperature=drawn_at,
        drawn_by=item.message.adapter or "",
    )
    if example.correction:
        return replace(row, kind=RowKind.CORRECTION, better_ids=tuple(tokens.answer(example.correction)))
    other = rival(item)
    if other is None or not example.worse or not example.is_liked or (split is Split.HELDOUT and label):
        return row
    worse_ids = _answer_ids(example.worse, other, tokens)
    drawn_by = other.adapter or ""
    return replace(row, kind=RowKind.PREFERENCE, answer_ids=worse_ids, drawn_by=drawn_by, better_ids=answer_ids, label=0)


def _answer_ids(text: str, message: Message, tokens: Tokens) -> tuple[int, ...]:
    """An answer as served; one that was redacted as tokens of its own, with an end of turn only where it had ended."""
    if text == message.content:
        return message.token_ids
    *said, end = tokens.answer(text)
    return (*said, end) if message.token_ids[-1] == end else tuple(said)
