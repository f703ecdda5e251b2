"""The rules together: what a prompt or an answer breaks, and how bad that is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from learner.policy.check import check_rules
from learner.policy.classifiers import CLASSIFIERS
from learner.policy.fold import Folded, fold
from learner.policy.index import Index
from learner.policy.matcher import Found, Matcher, Openings, phrases_in
from learner.policy.rule import SEVERITIES, Action, Rule, Severity, Where

SHIPPED = Path(__file__).parent / "default.toml"
OPENING = 200  # characters in which an answer that declines says so
DECLINES = re.compile(
    r"\b(?:i|we)(?:(?: am| are|'m|'re)(?: really| very| so)? (?:sorry,? but|unable to|not able to|not going to|not willing to)"
    r"| can(?:not|'t| not) (?!wait|believe|stress)| won't\b| will not\b| must decline\b| have to decline\b| would rather not\b)"
)


class PolicyError(Exception):
    """The policy cannot be used; the message has a line for each fault, with the place in its file."""


class Breach(Struct, frozen=True):
    """A rule that a text breaks, and where in it: nothing of the text itself, so that it can be written down anywhere."""

    rule: str
    severity: Severity
    action: Action
    reason: str
    where: Where
    start: int
    end: int
    replacement: str


class Policy:
    """Rules, compiled once. Whatever asks a model is left to learner/policy/judge.py."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.sha256 = hashlib.sha256(msgspec.json.encode(self.rules)).hexdigest()
        answers = {rule.name: Matcher(rule) for rule in rules if rule.pattern or rule.words}
        prompts = {rule.name: Matcher(replace(rule, pattern=rule.pattern + rule.asked)) for rule in rules if rule.asked}
        self._matchers: dict[Where, dict[str, Matcher]] = {"prompt": answers | prompts, "answer": answers}
        self._indexes = {where: Index(matchers) for where, matchers in self._matchers.items()}
        self._kept_by = {rule.name: re.compile(phrases_in(rule.kept_by)) for rule in rules if rule.kept_by}
        self._about: dict[Where, list[Rule]] = {
            "prompt": [rule for rule in rules if rule.is_about("prompt")],
            "answer": [rule for rule in rules if rule.is_about("answer")],
        }
        self.stopping = [rule for rule in self._about["answer"] if rule.stops]
        self.openings = Openings(answers[rule.name] for rule in self.stopping if rule.name in answers)

    def about(self, where: Where) -> list[Rule]:
        """The rules on prompts, or on answers."""
        return self._about[where]

    def matcher(self, rule: Rule) -> Matcher | None:
        """What finds in answers that the rule is broken; None where it has neither patterns nor words."""
        return self._matchers["answer"].get(rule.name)

    def breaches(self, text: str, where: Where) -> list[Breach]:
        """One of each rule that the text breaks, in the policy's order."""
        folded = fold(text)
        candidates, matchers = self._indexes[where].candidates(folded.text), self._matchers[where]
        found = (
            (rule, matchers[rule.name].find(folded.text, candidates[rule.name]))
            if rule.name in candidates
            else (rule, _classified(rule, text, folded))
            for rule in self._about[where]
        )
        return [breach(rule, where, folded, place) for rule, place in found if place is not None]

    def judge(self, prompt: str, answer: str) -> Breach | None:
        """The worst breach of an exchange. An answer that declines keeps the rules that its prompt would break."""
        return worst([*self._unanswered(prompt, answer), *self.breaches(answer, "answer")])

    def wrong_examples(self) -> list[str]:
        """Examples that the rules judge otherwise than they say, a line for each. What a model decides is not asked."""
        return [
            f'rule "{rule.name}": the example "{text}" {"does not break it, expected a breach" if case.breaks else "breaks it"}'
            for rule in self.rules
            if not rule.prompt
            for case in rule.examples
            for text in [case.answer or case.prompt]
            if (rule.name in {one.rule for one in self.breaches(text, "answer" if case.answer else "prompt")}) != case.breaks
        ]

    def _unanswered(self, prompt: str, answer: str) -> list[Breach]:
        asked = self.breaches(prompt, "prompt")
        if not asked:
            return []
        said = fold(answer).text
        if declines(said):
            return []
        return [one for one in asked if one.rule not in self._kept_by or not self._kept_by[one.rule].search(said)]


def _classified(rule: Rule, text: str, folded: Folded) -> Found | None:
    if rule.classifier and CLASSIFIERS[rule.classifier](text) >= rule.threshold:
        return Found(0, len(folded.text))
    return None


def declines(folded: str) -> bool:
    """Whether a folded answer begins by saying that it does not do what was asked."""
    return DECLINES.search(folded[:OPENING]) is not None


def breach(rule: Rule, where: Where, folded: Folded, found: Found) -> Breach:
    start, end = folded.place(found.start), folded.place(found.end - 1) + 1 if found.end else 0
    return Breach(rule.name, rule.severity, rule.action, rule.reason, where, start, end, rule.replacement)


def worst(breaches: Iterable[Breach]) -> Breach | None:
    """The most severe; of equals the first, before those which only flag."""
    return max(breaches, key=lambda one: (SEVERITIES.index(one.severity), one.action != "flag"), default=None)


def load_policy(path: str | Path | None = None) -> Policy:
    """The policy of a file; the shipped one where there is none. Raises `PolicyError`."""
    file = Path(path) if path is not None else SHIPPED
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{file} cannot be read ({error}): expected a policy in TOML") from error
    return _compile(file.name, text)


@lru_cache(maxsize=4)  # each cycle asks for the policy anew, and compiling one takes a quarter of a second
def _compile(name: str, text: str) -> Policy:
    rules, faults = check_rules(text)
    if faults:
        raise PolicyError("\n".join(f"{name}:{fault.line}: {fault.message}" for fault in faults))
    return Policy(rules)
