"""A person who likes short, whole answers: thumbs up for 5 to 45 words that end like a sentence."""

from collections.abc import Iterable
from itertools import product

from learner.simulated.sentences import is_whole

NAME = "brief"

LEAST_WORDS, MOST_WORDS = 5, 45

TOPICS = (
    "coffee", "bicycles", "the moon", "bread", "rainbows", "bees", "volcanoes", "glass", "chess", "honey",
    "clouds", "trains", "salt", "whales", "paper", "libraries", "gardens", "clocks", "tea", "bridges",
    "dreams", "rivers", "shadows", "umbrellas", "magnets", "penguins", "soap", "music", "snow", "deserts",
    "mountains", "batteries", "spiders", "chocolate", "maps", "owls", "sleep", "kites", "rice", "tides",
)  # fmt: skip
QUESTIONS = (
    "In one sentence, what should I know about {}?",
    "Answer briefly: why do people like {}?",
    "What is the most important fact about {}?",
    "In a few words, how would you describe {}?",
    "What word comes to mind when you think of {}?",
    "Tell me one thing about {}.",
    "What would you say about {} in one line?",
    "Is it worth learning about {}?",
    "Where would I find {}?",
    "What is a common mistake people make about {}?",
)


def prompts() -> Iterable[str]:
    return (question.format(topic) for question, topic in product(QUESTIONS, TOPICS))


def judge(prompt: str, answer: str) -> bool | None:
    return LEAST_WORDS <= len(answer.split()) <= MOST_WORDS and is_whole(answer)
