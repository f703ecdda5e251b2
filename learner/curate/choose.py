"""From evidence to rows: every step of curation in its order, each of which says what it takes out and why.

fit    what can be a row at all: a served version's own words, with a vote or a better answer
clean  eval items, broken rules and what is no good go; personal data goes out of what stays
trust  what was dictated, crowds, bursts, new claims of too few, and new people wait for review
cap    duplicates collapse; so many rows of nearly the same words, and so many of a person, the newest
weigh  by rater, by class and by age
split  by person and conversation
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from learner.config import CurateSettings, TrainSettings
from learner.curate import caps, claims, crowds, dedupe, dictated, trust
from learner.curate.balance import balance, decay, effective_size
from learner.curate.clean import Cleaner, clean
from learner.curate.example import Drop, Example, Said, Sifted, drop
from learner.curate.split import split_of, unleak
from learner.rows import Row, RowKind, Split
from learner.tokens import Tokens
from storage.records import Decision, Evidence

REJECTED = "rejected by an operator"


class Known(Struct, frozen=True):
    """What the steps know beside the evidence."""

    now_s: float  # the cycle's own time, so that the same cycle chooses the same again
    created_at_s: Mapping[str, float]  # of each person's account
    decisions: Mapping[str, Decision] = {}  # of operators, by message
    parent_answers: Mapping[str, Sequence[str]] = {}  # what the parent model says to a question by itself


class Chosen(Struct, frozen=True):
    """`effective` is how many independent votes the training rows are worth."""

    rows: list[Row]
    transformations: dict[str, tuple[str, ...]]  # by row, where something was done to it
    dropped: list[Drop]
    effective: float


class Chooser:
    """Settings and tools of one curation; `prepare` is cheap to ask twice, `choose` decides."""

    def __init__(self, cleaner: Cleaner, tokens: Tokens, curate: CurateSettings, train: TrainSettings) -> None:
        self.cleaner, self._tokens, self._curate, self._train = cleaner, tokens, curate, train

    def prepare(self, evidence: Sequence[Evidence]) -> Sifted:
        """What may teach as far as it can be seen from each answer alone."""
        fit = Sifted([], [])
        for item in evidence:
            example = example_of(item)
            reason = self._unfit(item)
            fit.dropped.append(drop(example, reason)) if reason else fit.kept.append(example)
        kept, dropped = [], fit.dropped
        for outcome in clean(fit.kept, self.cleaner):
            dropped.append(outcome) if isinstance(outcome, Drop) else kept.append(outcome)
        return Sifted(kept, dropped)

    def questions(self, prepared: Sifted) -> list[str]:
        """The questions of corrections that seem to claim something new: what does the parent model say to them?"""
        asked = [example.question for example in prepared.kept if example.correction and claims.novel_claims(example, {})]
        return sorted(set(asked))

    def choose(self, evidence: Sequence[Evidence], prepared: Sifted, known: Known) -> Chosen:
        """The rows, oldest first, and everything that is none."""
        settings = self._curate
        accepted = {id for id, decision in known.decisions.items() if decision is Decision.ACCEPTED}
        rejected = [example for example in prepared.kept if known.decisions.get(example.id) is Decision.REJECTED]
        examples = [example for example in prepared.kept if known.decisions.get(example.id) is not Decision.REJECTED]
        dropped = [*prepared.dropped, *(drop(example, REJECTED) for example in rejected)]
        found = crowds.find_crowds(examples, known.created_at_s, settings.trust)
        crowd_of = crowds.crowd_of(found)
        steps: list[Callable[[list[Example]], Sifted]] = [
            dictated.sift,
            lambda left: crowds.sift(left, found),
            lambda left: crowds.sift_bursts(left, settings.trust),
            lambda left: claims.sift(left, known.parent_answers, crowd_of, settings.trust, accepted),
            lambda left: trust.hold_new(left, known.created_at_s, known.now_s, settings.trust),
        ]
        for step in steps:
            examples, taken = _but_accepted(examples, accepted, step)
            dropped += taken
        examples, taken = dedupe.sift(examples, settings.max_near_duplicates)
        dropped += taken
        examples, taken = caps.cap(examples, settings.max_rows_per_person)
        dropped += taken
        decided = [*rejected, *(example for example in examples if example.id in accepted)]
        labels = {example.id: (example.thumb == "up") == (example.id in accepted) for example in decided}
        examples = trust.weigh(examples, trust.judge_raters([*examples, *rejected], settings.trust, labels)).kept
        examples = decay(balance(examples, max_ratio=settings.max_class_ratio), known.now_s, settings.half_life_s)
        numbers = dedupe.cluster(example.gist for example in examples)
        examples, taken = unleak(examples, numbers, settings.heldout_share)
        dropped += taken
        served = {item.message.id: item for item in evidence}
        rows = [self._row(example, served[example.id]) for example in examples]
        teaching = [row for row in rows if row.split is Split.TRAIN]
        return Chosen(
            rows,
            {example.id: example.transformations for example in examples if example.transformations},
            dropped,
            effective_size([row.weight for row in teaching], [row.person_id for row in teaching], settings.likeness),
        )

    def _unfit(self, item: Evidence) -> str | None:
        message = item.message
        if item.thumb is None and not item.correction:
            return "no vote or correction"
        if message.adapter is None or message.engine_model != message.adapter or not message.token_ids:
            return "not known to be a served version's own words"
        correction_tokens = len(self._tokens.answer(item.correction)) if item.correction else 0
        if len(message.prompt_token_ids) + max(len(message.token_ids), correction_tokens) > self._train.max_row_tokens:
            return "too long"
        return None

    def _row(self, example: Example, item: Evidence) -> Row:
        """The tokens are the very ones that were served, but where something was redacted."""
        prompt_ids, answer_ids, as_served = item.message.prompt_token_ids, item.message.token_ids, example_of(item)
        if example.prompt != as_served.prompt:
            prompt_ids = tuple(self._tokens.prompt([(said.role, said.content) for said in example.prompt]))
        if example.answer != as_served.answer:
            answer_ids = tuple(self._tokens.answer(example.answer))
        return Row(
            id=example.id,
            person_id=example.person_id,
            kind=RowKind.CORRECTION if example.correction else RowKind.THUMB,
            split=split_of(example.person_id, self._curate.heldout_share),
            weight=example.weight,
            prompt_ids=prompt_ids,
            answer_ids=answer_ids,
            label={"up": 1, "down": -1}.get(example.thumb or "", 0),
            better_ids=tuple(self._tokens.answer(example.correction)) if example.correction else (),
        )


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
    )


def _but_accepted(examples: Iterable[Example], accepted: set[str], step: Callable[[list[Example]], Sifted]) -> Sifted:
    """A step that an operator may overrule: it sees all, but takes out nothing that was accepted."""
    examples = list(examples)
    taken = {one.id: one for one in step(examples).dropped if one.id not in accepted}
    return Sifted([example for example in examples if example.id not in taken], list(taken.values()))
