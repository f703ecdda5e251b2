"""A person who likes short, whole answers: thumbs up for 5 to 45 words that end like a sentence."""

from learner.simulated.brief import NAME, judge, prompts

__all__ = ["NAME", "judge", "prompts"]
