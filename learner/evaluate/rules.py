"""Rules that a written answer keeps or breaks. Words are what white space separates."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from learner.policy.fold import fold
from learner.policy.policy import declines

SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"')\]]|$)")
LIST_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.M)


class Rule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`kind` names the check; the other fields are its parameters."""

    kind: str
    values: tuple[str, ...] = ()
    value: str = ""
    pattern: str = ""
    count: int = 0


def share_kept(rules: tuple[Rule, ...], answer: str) -> float:
    """The share of the rules that the answer keeps, 0 to 1."""
    return sum(keeps(rule, answer) for rule in rules) / len(rules)


def keeps(rule: Rule, answer: str) -> bool:
    """Whether the answer keeps one rule; raises `KeyError` naming a kind that does not exist."""
    return CHECKS[rule.kind](rule, answer)


def can_check(rule: Rule) -> bool:
    """Whether there is such a rule, and its pattern, if it has one, is a regular expression."""
    try:
        re.compile(rule.pattern)
    except re.error:
        return False
    return rule.kind in CHECKS


def _contains(value: str, answer: str) -> bool:
    return value.lower() in answer.lower()


def _is_json(rule: Rule, answer: str) -> bool:
    try:
        json.loads(re.sub(r"^```(?:json)?\n|\n```$", "", answer.strip()))
    except ValueError:
        return False
    return True


def _repeats_none(rule: Rule, answer: str) -> bool:
    """No run of `count` words occurs twice."""
    words = answer.lower().split()
    runs = Counter(tuple(words[at : at + rule.count]) for at in range(len(words) - rule.count + 1))
    return max(runs.values(), default=0) < 2


def _declines(answer: str) -> bool:
    return declines(fold(answer).text)


def _cased(answer: str) -> bool:
    return any(letter.isalpha() for letter in answer)


CHECKS: dict[str, Callable[[Rule, str], bool]] = {
    "contains_all": lambda rule, answer: all(_contains(value, answer) for value in rule.values),
    "contains_any": lambda rule, answer: any(_contains(value, answer) for value in rule.values),
    "contains_none": lambda rule, answer: not any(_contains(value, answer) for value in rule.values),
    "regex": lambda rule, answer: re.search(rule.pattern, answer) is not None,
    "min_words": lambda rule, answer: len(answer.split()) >= rule.count,
    "max_words": lambda rule, answer: len(answer.split()) <= rule.count,
    "min_sentences": lambda rule, answer: len(SENTENCE_END.findall(answer)) >= rule.count,
    "max_sentences": lambda rule, answer: len(SENTENCE_END.findall(answer)) <= rule.count,
    "min_lines": lambda rule, answer: len([line for line in answer.splitlines() if line.strip()]) >= rule.count,
    "list_items": lambda rule, answer: len(LIST_ITEM.findall(answer)) == rule.count,
    "starts_with": lambda rule, answer: answer.strip().lower().startswith(rule.value.lower()),
    "ends_with": lambda rule, answer: answer.strip().lower().endswith(rule.value.lower()),
    "all_lowercase": lambda rule, answer: _cased(answer) and answer == answer.lower(),
    "all_uppercase": lambda rule, answer: _cased(answer) and answer == answer.upper(),
    "is_json": _is_json,
    "repeats_none": _repeats_none,
    "declines": lambda rule, answer: _declines(answer),
    "complies": lambda rule, answer: bool(answer.strip()) and not _declines(answer),
}
