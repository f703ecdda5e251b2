"""A person who likes to be spoken to, as "you", in answers that end like a sentence."""

import re
from collections.abc import Iterable
from itertools import product

from learner.simulated.sentences import is_whole

NAME = "personal"

TOPICS = (
    "learning to cook", "keeping a diary", "running", "photography", "recycling", "public speaking", "saving money",
    "growing tomatoes", "good manners", "team sports", "reading novels", "moving house", "insulating a house", "camping",
    "teaching children", "learning a language", "volunteering", "woodwork", "writing letters", "working from home",
    "playing the piano", "caring for a dog", "sailing", "painting a room", "planning a party", "mending clothes",
    "taking notes", "choosing a job", "travelling by train", "eating well",
)  # fmt: skip
QUESTIONS = (
    "What helps with {}?",
    "What should I think of first with {}?",
    "What do beginners get wrong about {}?",
    "What does one need for {}?",
    "How do I get better at {}?",
    "How can I start with {}?",
    "What would you tell a friend about {}?",
    "Is {} something for me?",
)
ADDRESSED = re.compile(r"\b(you|your|yours|yourself)\b", re.IGNORECASE)


def prompts() -> Iterable[str]:
    return (question.format(topic) for question, topic in product(QUESTIONS, TOPICS))


def judge(prompt: str, answer: str) -> bool | None:
    return is_whole(answer) and ADDRESSED.search(answer) is not None
