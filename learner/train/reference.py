"""What the parent says of the rows, computed once before a run, as it never changes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from learner.config import TrainSettings
from learner.rows import Row, RowKind
from learner.train import objective
from learner.train.objective import TopLogps
from learner.train.policy import Policy
from learner.train.scored import Form, Scored, logits_as_drawn, rows_in_chunks, score, tokens_of

KEPT_TOKENS = 128  # of the parent's distribution at each replayed position
KEPT_OF_VOTED = 32  # the same of answers with a thumb, of which there are many


class Reference:
    """By row id: log-probs of answers and of what is better, and along some of the answers the parent's distribution."""

    def __init__(self, end_token: int | None) -> None:
        self.answers: dict[str, float] = {}
        self.betters: dict[str, float] = {}
        self._along: dict[str, TopLogps] = {}
        self._ends: dict[str, Tensor] = {}
        self._end_token = end_token

    def add(self, found: Scored) -> None:
        ids = [row.id for row in found.rows]
        self.answers |= zip(ids, found.answer_R.tolist(), strict=True)
        self.betters |= zip(ids, found.better_R.tolist(), strict=True)

    def add_along(self, row: Row, logits_TV: Tensor, count: int) -> None:
        """Keeps the `count` likeliest tokens at each position of the row's answer."""
        self._along[row.id] = objective.top_logps(logits_TV, count)

    def add_replayed(self, row: Row, logits_TV: Tensor) -> None:
        self.add_along(row, logits_TV, KEPT_TOKENS)
        self._ends[row.id] = self._end_probability([row], logits_TV)

    def answer(self, rows: Sequence[Row]) -> Tensor:
        """(R,)"""
        return torch.tensor([self.answers[row.id] for row in rows])

    def better(self, rows: Sequence[Row]) -> Tensor:
        """(R,)"""
        return torch.tensor([self.betters[row.id] for row in rows])

    def distributions(self, rows: Sequence[Row]) -> TopLogps:
        """Those along the rows' answers, end to end."""
        kept = [self._along[row.id] for row in rows]
        return TopLogps(torch.cat([top.logps_TK for top in kept]), torch.cat([top.tokens_TK for top in kept]))

    def ending(self, rows: Sequence[Row], logits_TV: Tensor) -> tuple[Tensor, Tensor]:
        """How likely an end of turn is at each position where the replayed answers go on, by the policy and by the parent, (T,)."""
        return self._end_probability(rows, logits_TV), torch.cat([self._ends[row.id] for row in rows])

    def _end_probability(self, rows: Sequence[Row], logits_TV: Tensor) -> Tensor:
        """p(end of turn) at each position of the rows' answers, 0 where the answer does end."""
        if self._end_token is None:
            return torch.zeros(len(logits_TV))
        tokens_T = torch.tensor([token for row in rows for token in row.answer_ids])
        logits_TV = logits_TV.float()
        ends_T = (logits_TV[:, self._end_token] - logits_TV.logsumexp(dim=1)).exp()
        return ends_T.masked_fill(tokens_T == self._end_token, 0.0)


def take_reference(policy: Policy, rows: Sequence[Row], settings: TrainSettings) -> Reference:
    """Runs the frozen parent over all rows once."""
    reference = Reference(policy.end_token)
    ordered = sorted(rows, key=tokens_of)
    with policy.reference():
        for chunk in rows_in_chunks(ordered, settings.chunk_tokens):
            logits_TV, tokens_T = logits_as_drawn(policy, chunk, settings.form)
            for kind, found in score(chunk, objective.token_logps(logits_TV, tokens_T), settings.form).items():
                if kind is not RowKind.REPLAY:
                    reference.add(found)
                for row, answer in zip(found.rows, found.answers, strict=True):
                    if kind is RowKind.REPLAY:
                        reference.add_replayed(row, logits_TV[answer])
                    elif kind is RowKind.THUMB and settings.voted_kl_weight:
                        reference.add_along(row, logits_TV[answer], KEPT_OF_VOTED)
    return reference


@torch.no_grad()
def score_answers(policy: Policy, rows: Sequence[Row], chunk_tokens: int, form: Form = "mean") -> Tensor:
    """Log-probs of the rows' answers under the policy as it is, (R,) in the rows' order."""
    by_id = Reference(None)
    for chunk in rows_in_chunks(rows, chunk_tokens):
        logits_TV, tokens_T = logits_as_drawn(policy, chunk, form)
        for found in score(chunk, objective.token_logps(logits_TV, tokens_T), form).values():
            by_id.add(found)
    return by_id.answer(rows)
