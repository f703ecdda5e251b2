"""The terms of the daily objective, as functions of log-probs. Nothing here knows a model or a file.

Shapes: R rows, T answer positions of all rows laid end to end, V vocabulary. Suffixes say which: `logps_T`, `mean_R`.
Log-probs are averaged over a row's tokens: a summed margin would reward short answers by itself (SimPO,
arXiv 2405.14734), and thumbs come without pairs, so each is weighed against a running mean (KTO, arXiv 2402.01306;
BCO's reward shift, arXiv 2404.04656).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def token_logps(logits_TV: Tensor, tokens_T: Tensor) -> Tensor:
    """log p of each token, (T,), in float32."""
    logits_TV = logits_TV.float()
    return logits_TV.gather(1, tokens_T[:, None]).squeeze(1) - logits_TV.logsumexp(dim=1)


def row_sums(values_T: Tensor, rows_T: Tensor, rows: int) -> Tensor:
    """The sum over each row's positions, (R,); 0 for a row without any. `rows_T` says whose a position is."""
    return values_T.new_zeros(rows).index_add(0, rows_T, values_T)


def row_means(values_T: Tensor, rows_T: Tensor, rows: int) -> Tensor:
    """The mean over each row's positions, (R,); 0 for a row without any."""
    sums_R = row_sums(values_T, rows_T, rows)
    counts_R = values_T.new_zeros(rows).index_add(0, rows_T, torch.ones_like(values_T))
    return sums_R / counts_R.clamp(min=1)


def thumb_loss(reward_R: Tensor, label_R: Tensor, shift: float) -> Tensor:
    """softplus(-y (r - shift)) with r = beta (log pi - log pi_ref), (R,)."""
    return F.softplus(-label_R * (reward_R - shift))


def kto_loss(reward_R: Tensor, label_R: Tensor, shift: float) -> Tensor:
    """KTO (arXiv 2402.01306, eq. 8) with both kinds weighed alike: 1 - sigmoid(y (r - z0)), (R,)."""
    return 1 - torch.sigmoid(label_R * (reward_R - shift))


def pair_loss(
    better_R: Tensor, better_reference_R: Tensor, worse_R: Tensor, worse_reference_R: Tensor, beta: float, flip_rate: float = 0.0
) -> Tensor:
    """DPO (arXiv 2305.18290): -log sigmoid(h) with h = beta (gain of better - gain of worse), (R,).

    Where a share `flip_rate` of preferences is the wrong way round, its unbiased form (rDPO, arXiv 2403.00409, eq. 10):
    ((1 - e) loss(h) - e loss(-h)) / (1 - 2 e).
    """
    gain_R = beta * ((better_R - better_reference_R) - (worse_R - worse_reference_R))
    if not flip_rate:
        return F.softplus(-gain_R)
    return ((1 - flip_rate) * F.softplus(-gain_R) - flip_rate * F.softplus(gain_R)) / (1 - 2 * flip_rate)


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

    Weighing the kinds equally keeps a crowd of one kind from moving the line. It moves between steps, never within one:
    all rows of a step are weighed against the same.
    """

    def __init__(self, momentum: float = 0.9) -> None:
        self.momentum = momentum
        self.means: dict[str, float] = {}  # by kind of vote, "up" and "down"

    @property
    def value(self) -> float:
        return sum(self.means.values()) / max(len(self.means), 1)

    def follow(self, step_means: Mapping[str, float]) -> None:
        """Takes in the mean reward of a step's votes of each kind that it had."""
        for kind, mean in step_means.items():
            self.means[kind] = self.momentum * self.means.get(kind, mean) + (1 - self.momentum) * mean
