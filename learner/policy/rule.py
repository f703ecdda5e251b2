"""What a rule says, as `policy.toml` has it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["low", "medium", "high"]
Action = Literal["refuse", "replace", "flag"]
Where = Literal["prompt", "answer"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
ACTIONS: tuple[Action, ...] = ("refuse", "replace", "flag")
PLACES = ("prompt", "answer", "both")
MATCHERS = ("pattern", "words", "classifier", "prompt")  # a rule has exactly one


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """A text that breaks the rule, or one that only looks as if. It is the answer where there is one, else the prompt."""

    prompt: str
    breaks: bool
    answer: str = ""


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. `near` and `unless` look at the words around a match of `pattern` or `words`."""

    name: str  # a slug
    reason: str  # shown to people
    severity: Severity
    applies_to: Literal["prompt", "answer", "both"]
    action: Action
    pattern: tuple[str, ...] = ()  # regular expressions over the folded text
    asked: tuple[str, ...] = ()  # more of them, for prompts alone: an answer would wait for what follows its first words
    words: tuple[str, ...] = ()  # words or phrases, whole, whatever their case, accents and look-alike digits
    near: tuple[str, ...] = ()  # phrases of which one must be close
    unless: tuple[str, ...] = ()  # phrases that make it harmless where one is close
    classifier: str = ""  # the name of one in learner/policy/classifiers.py
    threshold: float = 0.5  # of the classifier's score, from which on the rule is broken
    prompt: str = ""  # what a model is told to decide; it is shown the text and says yes for a breach
    inline: bool = False  # the model is asked before a prompt is answered too; it costs a request
    replacement: str = ""  # what is said instead
    kept_by: tuple[str, ...] = ()  # phrases by which an answer to a prompt that breaks the rule keeps it nevertheless
    examples: tuple[Case, ...] = ()

    def is_about(self, where: Where) -> bool:
        return self.applies_to in (where, "both")

    @property
    def stops(self) -> bool:
        """Whether something else is said where the rule is broken."""
        return self.action != "flag"
