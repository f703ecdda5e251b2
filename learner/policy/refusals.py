"""How to refuse, shown: conversations whose last answer keeps a rule, as documents that a cycle can learn from."""

from __future__ import annotations

import random

from msgspec import Struct

from learner.policy.policy import Policy
from learner.policy.rule import Case, Rule

OPENINGS = ("", "I'm sorry. ", "I understand the question. ", "Let me be open with you. ", "I'd like to be of use. ")


class Turn(Struct, frozen=True):
    """As the content of a demonstration has it."""

    role: str
    content: str


class Demonstration(Struct, frozen=True):
    """A conversation whose last answer is how it should be, and the rule that it keeps."""

    rule: str
    content: tuple[Turn, ...]


def demonstrations(policy: Policy) -> list[Demonstration]:
    """For every example that breaks a rule with something to say instead; the same for the same policy. Harmless ones get none."""
    return [
        Demonstration(rule.name, (Turn("user", case.prompt), Turn("assistant", declining(rule, case))))
        for rule in policy.rules
        if rule.replacement and rule.action != "replace"
        for case in rule.examples
        if case.breaks and case.prompt
    ]


def declining(rule: Rule, case: Case) -> str:
    """What is said instead of an answer that breaks the rule; its opening varies with the question."""
    return random.Random(case.prompt).choice(OPENINGS) + rule.replacement
