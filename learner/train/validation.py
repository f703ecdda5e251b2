"""Votes that tell when a run has learnt enough: of people who do not teach it, and are not those whom the gate asks.

Who judges the candidate must not have chosen it, so these are taken from the people who would teach.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

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

    def margin(self) -> float:
        """How much more likely, per token, liked answers have become than disliked ones."""
        gain_R = score_answers(self._policy, self._rows, self._settings.chunk_tokens) - self._before_R
        label_R = torch.tensor([float(row.label) for row in self._rows])
        return sum(float(gain_R[label_R == label].mean()) * label for label in (1.0, -1.0) if bool((label_R == label).any()))


def set_apart(rows: Sequence[Row], settings: TrainSettings) -> tuple[list[Row], list[Row]]:
    """The rows that teach, and those of a share of the people that end the run; none of those where votes are few."""
    votes = [row for row in rows if row.kind is RowKind.THUMB]
    if len(votes) < settings.validation_votes:
        return list(rows), []
    others = [row for row in votes if _chance(row.person_id) < settings.validation_share]
    apart = {row.person_id for row in others}
    teaching = [row for row in rows if row.kind is RowKind.REPLAY or not row.person_id or row.person_id not in apart]
    return teaching, others


def _chance(text: str) -> float:
    """Not that by which people are held out."""
    return fraction_of(f"validation/{text}")
