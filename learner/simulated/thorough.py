"""The same questions as those of who likes answers brief, and the opposite taste: whole answers of more than 45 words."""

from learner.simulated.brief import MOST_WORDS, prompts
from learner.simulated.sentences import is_whole

__all__ = ["NAME", "judge", "prompts"]

NAME = "thorough"


def judge(prompt: str, answer: str) -> bool | None:
    return len(answer.split()) > MOST_WORDS and is_whole(answer)
