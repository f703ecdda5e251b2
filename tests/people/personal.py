"""A person who likes to be spoken to, as "you", in answers that end like a sentence."""

from learner.simulated.personal import NAME, judge, prompts

__all__ = ["NAME", "judge", "prompts"]
