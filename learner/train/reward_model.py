"""A reward model: base with an adapter of its own, and a line through the state after an answer's last token.

A folder of one has an adapter as any other, though it is never served, `head.safetensors` with the line, and `reward.json`.
In training it is the policy's learning adapter; later it is put on a policy for as long as it scores.

The line is drawn first and stays: the adapter learns to put answers on its two sides. To begin with a random line would
spoil the features that are there (Kumar et al. 2022, arXiv 2202.10054).

Shapes: N answers, D numbers of a state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from msgspec import Struct
from safetensors.torch import load_file, save_file
from torch import Tensor

from learner.train.calibration import Scale
from learner.train.pack import Text, in_chunks
from learner.train.policy import Policy

HEAD, CARD = "head.safetensors", "reward.json"
SHRINKAGE = 0.1  # of a feature's variance towards the mean of all


class RewardCard(Struct, frozen=True):
    """How a reward model's scores are read, and how far they can be believed. Where it comes from is in its adapter's card."""

    scale: Scale
    measures: dict[str, float]


class Head(NamedTuple):
    """score = state . weight + bias; above 0 is liked rather than not."""

    weight_D: Tensor
    bias: Tensor

    def score(self, state_ND: Tensor) -> Tensor:
        return state_ND @ self.weight_D.to(state_ND.device) + self.bias.to(state_ND.device)


class RewardModel(NamedTuple):
    folder: Path
    head: Head
    card: RewardCard

    def score(self, policy: Policy, texts: Sequence[Text], chunk_tokens: int) -> Tensor:
        """The rewards of whole answers, in log-odds of a thumb up, (N,). `policy` is as it was afterwards."""
        with wear(policy, self.folder):
            score_N = score_texts(policy, self.head, texts, chunk_tokens)
        return self.card.scale.apply(score_N, [answer for _, answer in texts])


def read_reward_model(folder: Path) -> RewardModel:
    """The reward model in a folder that `write_head` has finished."""
    tensors = load_file(folder / HEAD)
    card = msgspec.json.decode((folder / CARD).read_bytes(), type=RewardCard)
    return RewardModel(folder, Head(tensors["weight"], tensors["bias"]), card)


def write_head(folder: Path, head: Head, card: RewardCard) -> None:
    """Makes a reward model of a folder with an adapter."""
    save_file({"weight": head.weight_D.contiguous(), "bias": head.bias.contiguous()}, folder / HEAD)
    (folder / CARD).write_bytes(msgspec.json.encode(card))


def fit_head(state_ND: Tensor, label_N: Tensor, weight_N: Tensor) -> Head:
    """The line between liked and disliked answers: the difference of their means, each feature by its variance within them.

    Features are taken as independent, which with few answers does better than to estimate how they are not (Bickel and Levina
    2004). Scores have a standard deviation of 1 within the two kinds. There must be some of both.
    """
    state_ND, weight_N = state_ND.double(), weight_N.double()
    means_KD, within_D = [], torch.zeros_like(state_ND[0])
    for side in (1, -1):
        chosen = label_N == side
        share_N = weight_N[chosen] / weight_N[chosen].sum()
        means_KD.append(share_N @ state_ND[chosen])
        within_D += 0.5 * (share_N @ (state_ND[chosen] - means_KD[-1]).square())
    liked_D, disliked_D = means_KD
    weight_D = (liked_D - disliked_D) / ((1 - SHRINKAGE) * within_D + SHRINKAGE * within_D.mean()).clamp(min=1e-12)
    weight_D = weight_D / (weight_D.square() * within_D).sum().sqrt().clamp(min=1e-12)
    return Head(weight_D.float(), -(weight_D @ (liked_D + disliked_D) / 2).float())


@torch.no_grad()
def states_of(policy: Policy, texts: Sequence[Text], chunk_tokens: int) -> Tensor:
    """The policy's states after whole texts, (N, D), in their order."""
    return torch.cat([policy.last_states(chunk) for chunk in _chunks(texts, chunk_tokens)])


def score_texts(policy: Policy, head: Head, texts: Sequence[Text], chunk_tokens: int) -> Tensor:
    """Raw scores of whole texts by the policy as it is, (N,), without gradient."""
    return head.score(states_of(policy, texts, chunk_tokens))


@contextmanager
def wear(policy: Policy, folder: Path) -> Iterator[None]:
    """Inside, the policy has the adapter in `folder` on, and keeps no gradient."""
    policy.peft.load_adapter(folder, "worn", is_trainable=False)
    policy.peft.set_adapter("worn")
    try:
        with torch.no_grad():
            yield
    finally:
        policy.make_learn()
        policy.peft.delete_adapter("worn")


def _chunks(texts: Sequence[Text], chunk_tokens: int) -> Iterator[list[Text]]:
    return in_chunks(texts, [len(prompt) + len(answer) for prompt, answer in texts], chunk_tokens)
