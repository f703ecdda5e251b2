"""From token log-probs of a run of texts to the scores of the rows that they belong to, by kind.

Shapes: R rows of one kind, T answer tokens of all texts of all rows, end to end, in the rows' order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from learner.rows import Row, RowKind
from learner.train import objective
from learner.train.pack import Text, in_chunks
from learner.train.policy import Policy

Form = Literal["mean", "sum"]
COLDEST = 0.3  # of temperatures: an answer that was all but certain to be drawn has next to nothing to tell
NLL_KINDS = (RowKind.THUMB, RowKind.CORRECTION, RowKind.PREFERENCE, RowKind.DEMONSTRATION)


def texts_of(row: Row) -> list[Text]:
    """The answer, and what is better, under the same prompt."""
    answer: Text = (row.prompt_ids, row.answer_ids)
    return [answer, (row.prompt_ids, row.better_ids)] if row.better_ids else [answer]


def tokens_of(row: Row) -> int:
    """What a row costs to run: its prompt once, and its answers."""
    return len(row.prompt_ids) + len(row.answer_ids) + len(row.better_ids)


def rows_in_chunks(rows: Sequence[Row], limit: int) -> Iterator[list[Row]]:
    """Rows in their order, as many at a time as have no more than `limit` tokens; one that has more is alone."""
    return in_chunks(rows, [tokens_of(row) for row in rows], limit)


class Scored(NamedTuple):
    """Rows of one kind, where they stand among all, and their log-probs: of each token and of the lesson as a whole."""

    rows: list[Row]
    places_R: Tensor
    answers: list[slice]  # of the T positions, each row's answer
    answer_R: Tensor
    better_R: Tensor  # 0 where there is none

    def positions(self) -> tuple[Tensor, Tensor]:
        """Where the rows' answers stand among the T positions, and whose each is."""
        at = [torch.arange(answer.start, answer.stop) for answer in self.answers]
        return torch.cat(at), torch.cat([torch.full((len(places),), row) for row, places in enumerate(at)])


def score(rows: Sequence[Row], logps_T: Tensor, form: Form) -> dict[RowKind, Scored]:
    """Each kind's rows with the log-probs of what their lessons are about, summed or averaged over tokens."""
    of_kind: dict[RowKind, list[int]] = defaultdict(list)
    answers, betters, start = [], [], 0
    for place, row in enumerate(rows):
        of_kind[row.kind].append(place)
        middle = start + len(row.answer_ids)
        answers.append(slice(start, middle))
        betters.append(slice(middle, middle + len(row.better_ids)))
        start = betters[-1].stop
    found = {}
    for kind, places in of_kind.items():
        chosen = [rows[place] for place in places]
        lessons = [slice(answers[place].start + rows[place].lesson_from, answers[place].stop) for place in places]
        found[kind] = Scored(
            chosen,
            torch.tensor(places),
            [answers[place] for place in places],
            _reduce(logps_T, lessons, form),
            _reduce(logps_T, [betters[place] for place in places], form),
        )
    return found


def logits_as_drawn(policy: Policy, rows: Sequence[Row], form: Form) -> tuple[Tensor, Tensor]:
    """Runs the rows' texts; gives logits over the temperature that each was drawn at, (T, V), and the tokens, (T,).

    To an answer drawn below temperature 1, a model becomes likelier by being colder: taken at 1, the likelihood of answers
    that people liked would sharpen it with each cycle, whatever they liked. Taken as they were drawn, only what tells
    liked from other answers is left to learn.
    """
    logits_TV, tokens_T, texts_T = policy.logits([text for row in rows for text in texts_of(row)])
    drawn_at_N = torch.tensor([temperature for row in rows for temperature in _temperatures(row, form)])
    return (logits_TV if bool((drawn_at_N == 1).all()) else logits_TV / drawn_at_N[texts_T, None]), tokens_T


def _temperatures(row: Row, form: Form) -> list[float]:
    """Of each of the row's texts. Sums are as their papers have them, and sampled answers come with log-probs: both at 1."""
    drawn_at = 1.0 if form == "sum" or row.kind is RowKind.SAMPLED else max(row.temperature, COLDEST)
    better_at = drawn_at if row.kind is RowKind.PREFERENCE else 1.0  # a correction is written, not drawn
    return [drawn_at, better_at] if row.better_ids else [drawn_at]


def spread(rows: Sequence[Row], scored: Mapping[RowKind, Scored], losses: Mapping[RowKind, Tensor]) -> Tensor:
    """The losses of the kinds, put in the order of the rows, (R,)."""
    places = torch.cat([scored[kind].places_R for kind in losses])
    return torch.zeros(len(rows)).index_add(0, places, torch.cat(list(losses.values())))


def nll_scale(batch: Sequence[Row], form: Form) -> float:
    """What a row's log-prob is multiplied by for its likelihood loss: as it is, or so that the batch's mean is over tokens."""
    if form == "mean":
        return 1.0
    tokens = sum(len(row.better_ids or row.answer_ids) for row in batch if row.kind in NLL_KINDS)
    return len(batch) / max(tokens, 1)


def _reduce(logps_T: Tensor, parts: Sequence[slice], form: Form) -> Tensor:
    rows_T = torch.cat([torch.full((part.stop - part.start,), row) for row, part in enumerate(parts)])
    values_T = torch.cat([logps_T[part] for part in parts])
    reduce = objective.row_means if form == "mean" else objective.row_sums
    return reduce(values_T, rows_T, len(parts))
