"""From evidence to rows: every step of curation in its order, each of which says what it takes out and why.

fit    what can be a row at all: a served version's own words, with a vote, a better answer or one that it is better than
clean  eval items, broken rules and what is no good go; personal data goes out of what stays
trust  what was dictated, crowds, bursts, new claims of too few, and new people wait for review
cap    duplicates collapse; so many rows of nearly the same words, and so many of a person, the newest
weigh  by rater, by class and by age
split  by person and conversation
shape  what teaches, by the reasons that were given for a vote
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from learner.config import CurateSettings, TrainSettings
from learner.curate import caps, claims, crowds, dedupe, dictated, trust
from learner.curate.balance import balance, decay, effective_size
from learner.curate.clean import Cleaner, clean
from learner.curate.example import Drop, Example, Sifted, drop
from learner.curate.served import example_of, to_row, unfit
from learner.curate.shape import shape
from learner.curate.split import split_of, unleak
from learner.rows import Row, Split
from learner.tokens import Tokens
from storage.records import Decision, Evidence, Reason

REJECTED = "rejected by an operator"
ANSWERED_AGAIN = "answered again with the comment in view"


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

    def prepare(self, evidence: Sequence[Evidence], answered_again: Collection[str] = ()) -> Sifted:
        """What may teach as far as it can be seen from each answer alone.

        The corrections of the answers in `answered_again` are the parent model's own, and weigh as such.
        """
        fit, weight = Sifted([], []), self._curate.comment_weight
        for item in evidence:
            example = example_of(item)
            if example.id in answered_again:
                example = replace(example, weight=weight, transformations=(f"{ANSWERED_AGAIN} ×{weight:g}",))
            reason = unfit(item, self._tokens, self._train.max_row_tokens)
            fit.dropped.append(drop(example, reason)) if reason else fit.kept.append(example)
        kept, dropped = [], fit.dropped
        for outcome in clean(fit.kept, self.cleaner):
            dropped.append(outcome) if isinstance(outcome, Drop) else kept.append(outcome)
        return Sifted(kept, dropped)

    def questions(self, prepared: Sifted) -> list[str]:
        """The questions of corrections that seem to claim something new: what does the parent model say to them?"""
        written = [one for one in prepared.kept if one.correction and not is_answered_again(one)]
        return sorted({example.question for example in written if claims.novel_claims(example, {})})

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
        rows, told = [], {}
        for example in examples:
            made, notes = self._row(example, served[example.id])
            if isinstance(made, Drop):
                dropped.append(made)
                continue
            rows.append(made)
            if done := (*example.transformations, *notes):
                told[example.id] = done
        teaching = [row for row in rows if row.split is Split.TRAIN]
        return Chosen(
            rows,
            told,
            dropped,
            effective_size([row.weight for row in teaching], [row.person_id for row in teaching], settings.likeness),
        )

    def _row(self, example: Example, item: Evidence) -> tuple[Row | Drop, tuple[str, ...]]:
        """An example as a row, shaped by its reasons where it teaches; and what that did to it."""
        row = to_row(example, item, self._tokens, split_of(example.person_id, self._curate.heldout_share))
        if row.split is not Split.TRAIN:
            return row, ()
        reasons = set(example.reasons) if item.thumb == "down" else set()
        if Reason.REFUSED_NEEDLESSLY in reasons and self.cleaner.judge(example.question, ""):
            reasons.remove(Reason.REFUSED_NEEDLESSLY)  # the policy wants it refused
        [end] = self._tokens.answer("")
        ended = row.answer_ids[-1:] == (end,) and example.finish_reason != "length"
        shaped = shape(row, reasons, ended, end, self._tokens.decode, self._curate)
        if shaped.row is None:
            return drop(example, "; ".join(shaped.notes)), ()
        return shaped.row, shaped.notes


def is_answered_again(example: Example) -> bool:
    """Whether its correction is the parent model's own."""
    return any(done.startswith(ANSWERED_AGAIN) for done in example.transformations)


def _but_accepted(examples: Iterable[Example], accepted: set[str], step: Callable[[list[Example]], Sifted]) -> Sifted:
    """A step that an operator may overrule: it sees all, but takes out nothing that was accepted."""
    examples = list(examples)
    taken = {one.id: one for one in step(examples).dropped if one.id not in accepted}
    return Sifted([example for example in examples if example.id not in taken], list(taken.values()))
