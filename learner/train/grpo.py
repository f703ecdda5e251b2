"""Method `grpo`: answers against the mean of their group (arXiv 2402.03300), not divided by its spread (Dr. GRPO, arXiv
2503.20783) unless `grpo_by_std` says so."""

from __future__ import annotations

from functools import partial

from learner.train.policy_gradient import group_relative
from learner.train.sampled import learn_from_samples
from learner.train.spec import Outcome, Work


def train(work: Work) -> Outcome:
    """Fits the policy's adapter to sampled answers by their rewards. Raises `Diverged`."""
    return learn_from_samples(work, partial(group_relative, by_std=work.settings.grpo_by_std))
