"""The terms of the daily objective, as functions of log-probs. Nothing here knows a model or a file.

Shapes: R rows, T answer positions of all rows laid end to end, V vocabulary. Suffixes say which: `logps_T`, `mean_R`.
Log-probs are averaged over a row's tokens: a summed margin would reward short answers by itself (SimPO,
arXiv 2405.14734), and thumbs come without pairs, so each is weighed against a running mean (KTO, arXiv 2402.01306;
BCO's reward shift, arXiv 2404.04656).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def token_logps(logits_TV: Tensor, tokens_T: Tensor) -> Tensor:
    """log p of each token, (T,), in float32."""
    logits_TV = logits_TV.float()
    return logits_TV.gather(1, tokens_T[:, None]).squeeze(1) - logits_TV.logsumexp(dim=1)


def row_means(values_T: Tensor, rows_T: Tensor, rows: int) -> Tensor:
    """The mean over each row's positions, (R,); 0 for a row without any. `rows_T` says whose a position is."""
    sums_R = values_T.new_zeros(rows).index_add(0, rows_T, values_T)
    counts_R = values_T.new_zeros(rows).index_add(0, rows_T, torch.ones_like(values_T))
    return sums_R / counts_R.clamp(min=1)


def thumb_loss(mean_R: Tensor, reference_R: Tensor, label_R: Tensor, shift: Tensor, beta: float) -> Tensor:
    """softplus(-y (r - shift)) with r = beta (mean log pi - mean log pi_ref), (R,). `shift` carries no gradient."""
    reward_R = beta * (mean_R - reference_R)
    return F.softplus(-label_R * (reward_R - shift.detach()))


def pair_loss(better_R: Tensor, better_reference_R: Tensor, worse_R: Tensor, worse_reference_R: Tensor, beta: float) -> Tensor:
    """DPO (arXiv 2305.18290) on length-averaged log-probs: -log sigmoid(beta (gain of better - gain of worse)), (R,)."""
    gain_R = (better_R - better_reference_R) - (worse_R - worse_reference_R)
    return F.softplus(-beta * gain_R)


class TopLogps(NamedTuple):
    """A distribution at each position by its likeliest tokens: all that need be kept of a reference, (T, k) each."""

    logps_TK: Tensor
    tokens_TK: Tensor


def top_logps(logits_TV: Tensor, count: int) -> TopLogps:
    """The `count` likeliest tokens at each position, with their log-probs."""
    logits_TV = logits_TV.float()
    top = (logits_TV - logits_TV.logsumexp(dim=1, keepdim=True)).topk(min(count, logits_TV.shape[1]), dim=1)
    return TopLogps(top.values, top.indices)


def kl_to_reference(logits_TV: Tensor, reference: TopLogps) -> Tensor:
    """KL(pi_ref || pi) at each position, (T,), with all but the reference's likeliest tokens taken as one.

    Taking outcomes together never raises a KL (data processing), and on text the rest is a few percent.
    """
    logits_TV = logits_TV.float()
    logps_TK = logits_TV.gather(1, reference.tokens_TK) - logits_TV.logsumexp(dim=1, keepdim=True)
    top_T = (reference.logps_TK.exp() * (reference.logps_TK - logps_TK)).sum(dim=1)
    rest_T, reference_rest_T = ((1 - values.exp().sum(dim=1)).clamp(min=1e-6) for values in (logps_TK, reference.logps_TK))
    return top_T + reference_rest_T * (reference_rest_T.log() - rest_T.log())


class RunningShift:
    """The reward both kinds of vote are weighed against: the mean of the two kinds' means, followed slowly.

    Weighing the kinds equally keeps a crowd of one kind from moving the line.
    """

    def __init__(self, momentum: float = 0.9) -> None:
        self.momentum = momentum
        self._means: dict[int, float] = {}

    def update(self, reward_R: Tensor, label_R: Tensor) -> Tensor:
        for label in (1, -1):
            chosen = reward_R.detach()[label_R == label]
            if len(chosen):
                mean = float(chosen.mean())
                self._means[label] = self.momentum * self._means.get(label, mean) + (1 - self.momentum) * mean
        return reward_R.new_tensor(sum(self._means.values()) / max(len(self._means), 1))
