"""What rloo and grpo share, as functions of log-probs: answers drawn from a version, each with a reward, make their own tokens
likelier or less so. Nothing here knows a model or a file.

Shapes: R answers, T tokens of all answers laid end to end. `group_R` numbers the prompts: answers of one group share theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learner.train.objective import row_sums

STD_FLOOR = 1e-4  # added to a spread of rewards before dividing by it, as TRL has it


def leave_one_out(reward_R: Tensor, group_R: Tensor) -> Tensor:
    """Each reward less the mean of the others in its group, (R,) (RLOO, arXiv 2402.14740).

    An answer that is alone in its group has nothing to be compared with: 0.
    """
    count_R, mean_R = _count_and_mean(reward_R, group_R)
    return (reward_R - mean_R) * count_R / (count_R - 1).clamp(min=1)


def group_relative(reward_R: Tensor, group_R: Tensor, by_std: bool = False) -> Tensor:
    """Each reward less its group's mean, (R,) (GRPO, arXiv 2402.03300). An answer alone in its group gets 0.

    `by_std` divides by the group's standard deviation, as GRPO has it. Dr. GRPO (arXiv 2503.20783) does not: it would make
    most of the prompts whose answers hardly differ.
    """
    count_R, mean_R = _count_and_mean(reward_R, group_R)
    advantage_R = reward_R - mean_R
    if not by_std:
        return advantage_R
    _, square_R = _count_and_mean(advantage_R.square(), group_R)
    return advantage_R / ((square_R * count_R / (count_R - 1).clamp(min=1)).sqrt() + STD_FLOOR)


def _count_and_mean(value_R: Tensor, group_R: Tensor) -> tuple[Tensor, Tensor]:
    """The size and the mean of each answer's group, (R,) each."""
    groups = int(group_R.max()) + 1
    count_R = row_sums(torch.ones_like(value_R), group_R, groups)[group_R]
    return count_R, row_sums(value_R, group_R, groups)[group_R] / count_R


def clipped_loss(logps_T: Tensor, old_T: Tensor, advantage_T: Tensor, clip: float) -> Tensor:
    """-min(ratio A, clamp(ratio, 1 - clip, 1 + clip) A), (T,), with a token's ratio = pi / pi_old (PPO, arXiv 1707.06347, eq. 7).

    `old_T` are the log-probs by the version that gave the answers. Past the region a step further earns nothing.
    """
    ratio_T = (logps_T - old_T).exp()
    return -torch.minimum(ratio_T * advantage_T, ratio_T.clamp(1 - clip, 1 + clip) * advantage_T)


def answers_loss(loss_T: Tensor, rows_T: Tensor, weight_R: Tensor, answers: int, tokens: int) -> Tensor:
    """The tokens' losses, weighed and added up, by the batch's `answers` and a constant number of `tokens` for each.

    Not by the answer's own number: a mean over tokens shares an answer's blame among them, so long bad answers cost less than
    short ones, and answers grow with their mistakes (Dr. GRPO, arXiv 2503.20783, section 3.1).
    """
    return (weight_R * row_sums(loss_T, rows_T, len(weight_R))).sum() / (answers * tokens)


def k3(logps_T: Tensor, reference_T: Tensor) -> Tensor:
    """An estimate of KL(pi || reference) in nats from tokens drawn from pi, (T,): exp(d) - d - 1 with d = log reference - log pi.

    As unbiased as -d, but never below 0 and steadier (k3 of Schulman 2020, "Approximating KL divergence").
    """
    difference_T = reference_T - logps_T
    return difference_T.exp() - difference_T - 1
