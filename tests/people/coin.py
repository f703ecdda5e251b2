"""A person whose votes say nothing: a fair coin, fixed by the text it is thrown for."""

import hashlib

from learner.simulated.brief import prompts

__all__ = ["NAME", "judge", "prompts"]

NAME = "coin"


def judge(prompt: str, answer: str) -> bool | None:
    return hashlib.sha256(f"{prompt}\n{answer}".encode()).digest()[0] % 2 == 0
