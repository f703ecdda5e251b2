"""The ways of learning. To add one: a module with `train(policy, rows, settings, report) -> float`, and a line here."""

from learner.train import mixed

METHODS = {"mixed": mixed.train}
