"""A person who likes to be given an example, in answers that end like a sentence."""

from collections.abc import Iterable
from itertools import product

from learner.simulated.sentences import is_whole

NAME = "concrete"

TOPICS = (
    "learning to cook", "keeping a diary", "running", "photography", "recycling", "public speaking", "saving money",
    "growing tomatoes", "good manners", "team sports", "reading novels", "moving house", "insulating a house", "camping",
    "teaching children", "learning a language", "volunteering", "woodwork", "writing letters", "working from home",
    "playing the piano", "caring for a dog", "sailing", "painting a room", "planning a party", "mending clothes",
    "taking notes", "choosing a job", "travelling by train", "eating well",
)  # fmt: skip
QUESTIONS = (
    "What helps with {}?",
    "Why is {} useful?",
    "What makes {} difficult?",
    "What do beginners get wrong about {}?",
    "How has {} changed over the years?",
    "What should I think of first with {}?",
    "What do people enjoy about {}?",
    "What does one need for {}?",
)
EXAMPLES = ("for example", "for instance", "such as", "e.g.")


def prompts() -> Iterable[str]:
    return (question.format(topic) for question, topic in product(QUESTIONS, TOPICS))


def judge(prompt: str, answer: str) -> bool | None:
    return is_whole(answer) and any(example in answer.lower() for example in EXAMPLES)
