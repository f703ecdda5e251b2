"""How far a reward model's scores can be believed, and what is taken off them. Nothing here knows a model or a file.

Shapes: N answers. Labels are +1 for a thumb up and -1 for a thumb down.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from msgspec import Struct
from torch import Tensor

from learner.repetition import distinct

BINS = 10
TEMPERATURES = torch.logspace(-1.5, 1.5, 121, dtype=torch.float64)


def auroc(score_N: Tensor, label_N: Tensor) -> float:
    """The chance that a liked answer scores higher than a disliked one, ties counted half (Hanley and McNeil 1982).

    There must be some of both.
    """
    up, down = score_N[label_N > 0][:, None], score_N[label_N < 0][None, :]
    return float(((up > down).double() + 0.5 * (up == down)).mean())


def calibration_error(chance_N: Tensor, label_N: Tensor) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017, arXiv 1706.04599, eq. 5)."""
    liked_N, bin_N = (label_N > 0).double(), (chance_N * BINS).long().clamp(max=BINS - 1)
    gap_B = liked_N.new_zeros(BINS).index_add(0, bin_N, chance_N.double() - liked_N)
    return float(gap_B.abs().sum() / len(chance_N))


def brier(chance_N: Tensor, label_N: Tensor) -> float:
    """The mean squared error of the chances (Brier 1950)."""
    return float((chance_N - (label_N > 0).double()).square().mean())


def fit_temperature(score_N: Tensor, label_N: Tensor) -> float:
    """What scores are divided by to be log-odds of a thumb up, by the likelihood of these votes (arXiv 1706.04599, section 4.2).

    1 where they are not of both kinds: one kind alone would ask for certainty.
    """
    if not (label_N > 0).any() or not (label_N < 0).any():
        return 1.0
    loss_K = F.softplus(-(label_N * score_N.double()).cpu() / TEMPERATURES[:, None]).mean(dim=1)
    return float(TEMPERATURES[loss_K.argmin()])


class LengthLine(Struct, frozen=True):
    """What a score gains by length alone: `slope` for each unit of log tokens above `centre`."""

    slope: float
    centre: float

    def at(self, tokens_N: Tensor) -> Tensor:
        return self.slope * (tokens_N.double().log() - self.centre)


def fit_length(score_N: Tensor, tokens_N: Tensor, weight_N: Tensor) -> LengthLine:
    """The least squares line of scores on log length; flat where all answers are of one length."""
    log_N, share_N = tokens_N.double().log(), weight_N.double() / weight_N.double().sum()
    centre = (share_N * log_N).sum()
    spread = (share_N * (log_N - centre).square()).sum()
    along = (share_N * (log_N - centre) * score_N.double()).sum()
    return LengthLine(float(along / spread) if spread > 1e-9 else 0.0, float(centre))


class Scale(Struct, frozen=True):
    """From a raw score to a reward, in log-odds of a thumb up: without what length alone gains, less for repeating itself."""

    length: LengthLine
    temperature: float
    floor: float  # distinct trigrams below which an answer repeats itself
    repetition: float  # what an answer loses that says one thing only

    def apply(self, score_N: Tensor, answers: Sequence[Sequence[int]]) -> Tensor:
        """Rewards, (N,). Variety never raises one: it only can fail to lower it."""
        tokens_N = torch.tensor([len(answer) for answer in answers])
        lacking_N = torch.tensor([max(self.floor - distinct(answer), 0.0) / self.floor for answer in answers])
        return ((score_N.double() - self.length.at(tokens_N)) / self.temperature - self.repetition * lacking_N).float()
