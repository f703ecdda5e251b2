"""Method `rloo`: REINFORCE with the other answers to the same prompt as baseline (arXiv 2402.14740)."""

from __future__ import annotations

from learner.train.policy_gradient import leave_one_out
from learner.train.sampled import learn_from_samples
from learner.train.spec import Outcome, Work


def train(work: Work) -> Outcome:
    """Fits the policy's adapter to sampled answers by their rewards. Raises `Diverged`."""
    return learn_from_samples(work, leave_one_out)
