"""Votes that tell when a run has learnt enough: of people who do not teach it, and are not those whom the gate asks.

Who judges the candidate must not have chosen it, so these are taken from the people who would teach.
"""

from __future__ import annotations

from collections.abc import Sequence

from learner.chance import fraction_of
from learner.config import TrainSettings
from learner.rows import Row, RowKind
from learner.train.policy import Policy
from learner.train.reference import score_answers

MAX_ROWS = 64  # a check runs over so many


class Validation:
    """Rows set apart, with what the reference says of them."""

    def __init__(self, policy: Policy, rows: Sequence[Row], settings: TrainSettings) -> None:
        self._policy, self._settings = policy, settings
        self._rows = sorted(rows, key=lambda row: _chance(row.id))[:MAX_ROWS]
        with policy.reference():
            self._before_R = score_answers(policy, self._rows, settings.chunk_tokens)
        self.people = [_who(row) for row in self._rows]

    def gains(self) -> list[float]:
        """How much more likely each liked answer has become, and each disliked one less, per token.

        Their mean is the gain of the liked ones less that of the disliked: where these are few, each counts for more.
        """
        gain_R = score_answers(self._policy, self._rows, self._settings.chunk_tokens) - self._before_R
        labels = [row.label for row in self._rows]
        each = {label: len(labels) / labels.count(label) for label in set(labels)}
        return [label * each[label] * float(gain) for label, gain in zip(labels, gain_R, strict=True)]


def set_apart(rows: Sequence[Row], settings: TrainSettings) -> tuple[list[Row], list[Row]]:
    """The rows that teach, and those of a share of the people that end the run; none of those where votes are few."""
    votes = [row for row in rows if row.kind is RowKind.THUMB]
    if len(votes) < settings.validation_votes:
        return list(rows), []
    others = [row for row in votes if _chance(_who(row)) < settings.validation_share]
    apart = {*map(_who, others)}
    return [row for row in rows if row.kind is RowKind.REPLAY or _who(row) not in apart], others


def _who(row: Row) -> str:
    """The person, or where none is known the row, as if it was one's only."""
    return row.person_id or row.id


def _chance(text: str) -> float:
    """Not that by which people are held out."""
    return fraction_of(f"validation/{text}")
