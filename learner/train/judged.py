"""Answers one by one, each liked or not, as a reward model is fitted to them and measured by them.

Shapes: N answers, R rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from learner.config import TrainSettings
from learner.rows import Row
from learner.train.calibration import LengthLine, Scale, auroc, brier, calibration_error, fit_length, fit_temperature
from learner.train.pack import Text
from learner.train.scored import texts_of

Score = Callable[[Sequence[Text]], Tensor]  # raw scores of whole texts, (N,)


class Judged(NamedTuple):
    """Labels are +1 for liked and -1 for not."""

    texts: list[Text]
    label_N: Tensor
    weight_N: Tensor

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Judged:
        """A thumb's answer by the thumb; of a pair the better is liked and the other is not."""
        return cls._of([(row, text, label) for row in rows for text, label in _told(row)])

    @classmethod
    def of_votes(cls, rows: Sequence[Row]) -> Judged:
        """The answers that have a thumb, by it."""
        return cls._of([(row, texts_of(row)[0], row.label) for row in rows if row.label])

    @classmethod
    def _of(cls, told: Sequence[tuple[Row, Text, int]]) -> Judged:
        labels, weights = [label for _, _, label in told], [row.weight for row, _, _ in told]
        return cls([text for _, text, _ in told], torch.tensor(labels), torch.tensor(weights))

    @property
    def answers(self) -> list[Sequence[int]]:
        return [answer for _, answer in self.texts]

    def of_both_kinds(self) -> bool:
        return bool((self.label_N > 0).any() and (self.label_N < 0).any())


def _told(row: Row) -> Iterator[tuple[Text, int]]:
    answer, *better = texts_of(row)
    yield answer, -1 if better else row.label
    yield from ((text, 1) for text in better)


def fit_scale(score: Score, learnt: Judged, votes: Judged, settings: TrainSettings) -> Scale:
    """How scores are read: length by all answers that were learnt from, the temperature by votes of people who did not teach."""
    line = fit_length(score(learnt.texts), _lengths(learnt), learnt.weight_N)
    line = LengthLine(settings.length_control * line.slope, line.centre)
    temperature = fit_temperature(score(votes.texts) - line.at(_lengths(votes)), votes.label_N) if votes.texts else 1.0
    return Scale(line, temperature, settings.repetition_floor, settings.repetition_penalty)


def measure(score: Score, scale: Scale, heldout: Sequence[Row]) -> dict[str, float]:
    """How far rewards can be believed, by people who did not teach; what these said nothing about is left out.

    `auroc_uncontrolled` is without the scale: what the control of length and repetition costs where taste is about them.
    """
    votes, pairs = Judged.of_votes(heldout), [row for row in heldout if row.better_ids]
    found = {"heldout_votes": float(len(votes.texts)), "heldout_pairs": float(len(pairs))}
    if votes.of_both_kinds():
        score_N = score(votes.texts)
        reward_N = scale.apply(score_N, votes.answers)
        chance_N = torch.sigmoid(reward_N)
        found |= {"auroc": auroc(reward_N, votes.label_N), "auroc_uncontrolled": auroc(score_N, votes.label_N)}
        found |= {"ece": calibration_error(chance_N, votes.label_N), "brier": brier(chance_N, votes.label_N)}
    if pairs:
        better = Judged.of([msgspec.structs.replace(row, label=0) for row in pairs])
        reward_2R = scale.apply(score(better.texts), better.answers)
        found["pair_accuracy"] = float((reward_2R[1::2] > reward_2R[::2]).float().mean())
    return found


def _lengths(judged: Judged) -> Tensor:
    return torch.tensor([len(answer) for answer in judged.answers])
