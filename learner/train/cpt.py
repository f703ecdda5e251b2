"""Method `cpt`: next-token learning on pieces of a corpus (continued pre-training, arXiv 2004.10964), as an adapter.

A piece's first token has nothing before it and is only context; the loss is the mean NLL of all others, each weighing what
its row weighs. What it was good for is measured on held-out pieces, before and after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from learner.rows import Row, RowKind
from learner.train.loop import fit
from learner.train.objective import token_logps
from learner.train.pack import Text
from learner.train.scored import rows_in_chunks
from learner.train.spec import Diverged, Outcome, Work

MAX_NLL = 600.0  # nats per token: weights that give more are of no use, and its exp is no number


class Reader(Protocol):
    """A model as `learner.train.policy.Policy` has it."""

    def logits(self, texts: Sequence[Text]) -> tuple[Tensor, Tensor, Tensor]: ...


def train(work: Work) -> Outcome:
    """Fits the policy's adapter to the rows of kind text. Raises `Diverged`."""
    rows, judging = teaching(work.rows), teaching(work.heldout)
    before = perplexity(work.policy, judging, work.settings.chunk_tokens)
    outcome = fit(work, rows, NextTokens(work.policy, work.settings.chunk_tokens))
    after = perplexity(work.policy, judging, work.settings.chunk_tokens)
    measures = {**outcome.measures, "train_tokens": float(sum(map(predicted, rows)))}
    if before is not None and after is not None:
        measures |= {"heldout_perplexity_before": before, "heldout_perplexity_after": after}
    return Outcome(outcome.final_loss, measures, outcome.stopped)


def teaching(rows: Sequence[Row]) -> list[Row]:
    """The rows that say anything about a next token."""
    return [row for row in rows if row.kind is RowKind.TEXT and row.weight > 0 and predicted(row)]


def predicted(row: Row) -> int:
    """How many of a row's tokens are predicted: all but the first."""
    return max(len(row.answer_ids) - 1, 0)


class NextTokens:
    """The lesson: mean NLL over the predicted tokens of a batch. Nothing passes from one step to the next."""

    def __init__(self, model: Reader, chunk_tokens: int) -> None:
        self._model, self._chunk_tokens = model, chunk_tokens

    def backward(self, batch: Sequence[Row]) -> Mapping[str, float]:
        total = sum(row.weight * predicted(row) for row in batch)
        loss = 0.0
        for rows in rows_in_chunks(batch, self._chunk_tokens):
            part = _nll(self._model, rows) / total
            part.backward()  # type: ignore[no-untyped-call]
            loss += float(part.detach())
        return {"loss": loss}

    def state(self) -> Mapping[str, float]:
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        pass


@torch.no_grad()
def perplexity(model: Reader, rows: Sequence[Row], chunk_tokens: int) -> float | None:
    """exp of the mean NLL per predicted token; None where there is none. Raises `Diverged` where it is no number."""
    total = sum(row.weight * predicted(row) for row in rows)
    if not total:
        return None
    nll = sum(float(_nll(model, chunk)) for chunk in rows_in_chunks(rows, chunk_tokens)) / total
    if not nll < MAX_NLL:
        raise Diverged(f"the mean NLL of {len(rows)} texts is {nll}, expected a number of nats per token")
    return math.exp(nll)


def _nll(model: Reader, rows: Sequence[Row]) -> Tensor:
    """The sum over all predicted tokens, each by its row's weight; a scalar."""
    logits_TV, tokens_T, texts_T = model.logits([(row.answer_ids[:1], row.answer_ids[1:]) for row in rows])
    weights_R = torch.tensor([row.weight for row in rows])
    return -(token_logps(logits_TV, tokens_T) * weights_R[texts_T]).sum()
