"""A person who likes to be given an example, in answers that end like a sentence."""

from learner.simulated.concrete import NAME, judge, prompts

__all__ = ["NAME", "judge", "prompts"]
