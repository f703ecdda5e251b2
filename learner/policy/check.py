"""A policy's file read into rules, with all of its faults at once, each with its line and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from difflib import get_close_matches
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from learner.policy.classifiers import CLASSIFIERS
from learner.policy.matcher import Matcher
from learner.policy.place import Places
from learner.policy.regexes import PatternError, shape_of
from learner.policy.rule import ACTIONS, MATCHERS, PLACES, SEVERITIES, Case, Rule

MAX_REACH = 600  # characters that an answer's rule may have to see before a streamed answer goes on
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
PART = re.compile(r"\(\?&(\w+)\)")  # (?&name) in a pattern stands for a pattern of [parts]
SHOWN = 60  # characters of a pattern
STAND_IN = {"name": "x", "reason": "x", "severity": "low", "applies_to": "prompt", "action": "flag"}  # for what is required
CHOICES: dict[str, tuple[str, ...]] = {"severity": SEVERITIES, "applies_to": PLACES, "action": ACTIONS}
PATTERNS = ("pattern", "asked")
LISTS = (*PATTERNS, "words", "near", "unless", "kept_by")
TYPES = get_type_hints(Rule)
AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


class Fault(Struct, frozen=True):
    line: int
    message: str


def check_rules(text: str) -> tuple[list[Rule], list[Fault]]:
    """The rules of a policy's text; none where there is a fault. Faults are in the order of their lines."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = AT_LINE.search(str(error))
        line = int(at[1]) if at else len(text.splitlines()) or 1
        return [], [Fault(line, f"this is no TOML: {AT_LINE.sub('', str(error))}")]
    places = Places(text)
    parts = document.pop("parts", {})
    tables = document.pop("rule", [])
    faults = [Fault(places.key(key), f"unknown key {key!r}, expected [[rule]] and [parts]") for key in document]
    if not _all_are(tables, dict) or not tables:
        return [], [*faults, Fault(places.key("rule"), "there is no [[rule]], expected one at least")]
    if not isinstance(parts, dict) or not _all_are([*parts.values()], str):
        return [], [*faults, Fault(places.key("parts"), "[parts] holds something else than texts, expected name = 'pattern'")]
    parts = _unfolded(parts)
    rules = []
    names = Counter(str(table.get("name")) for table in tables)
    for number, table in enumerate(tables):
        rule, found = _Reader(number, table, places, parts).read()
        if isinstance(name := table.get("name"), str) and names[name] > 1:
            found.append(Fault(places.of(number, "name"), f'rule "{name}": the name is there {names[name]} times, expected once'))
        faults += found
        rules += [rule] if rule else []
    return ([], sorted(faults, key=lambda fault: fault.line)) if faults else (rules, [])


class _Reader:
    """Reads one rule's table."""

    def __init__(self, number: int, table: dict[str, Any], places: Places, parts: dict[str, str]) -> None:
        self._number, self._table, self._places, self._parts = number, table, places, parts
        self._faults: list[Fault] = []
        self._faulty: set[str] = set()  # keys of which enough is said already
        self._written: dict[str, list[str]] = {}  # patterns before their parts are put in, by key
        self._title = f'rule "{table["name"]}"' if isinstance(table.get("name"), str) else f"rule {number + 1}"

    def read(self) -> tuple[Rule | None, list[Fault]]:
        """The rule if nothing is wrong with it. What is faulty is left out of what follows, so that all is found at once."""
        values = self._converted(self._known_values())
        self._faulty |= self._table.keys() - values.keys()
        rule = msgspec.convert({**STAND_IN, **values}, Rule)
        self._check_sense(rule)
        if self._check_patterns(rule) and not self._faults:
            self._check_reach(rule)
        return (None if self._faults else rule), self._faults

    def _fault(self, key: str, message: str, value: str = "") -> None:
        if key not in self._faulty:
            self._faults.append(Fault(self._places.of(self._number, key, value), f"{self._title}: {message}"))

    def _known_values(self) -> dict[str, Any]:
        known = Rule.__struct_fields__
        for key in self._table.keys() - set(known):
            close = get_close_matches(key, known, 1)
            self._fault(key, f"unknown key {key!r}, expected {close[0] if close else ', '.join(known)}")
        for key in STAND_IN.keys() - self._table.keys():
            self._fault("", f"{key} is missing")
            self._faulty.add(key)
        return {key: value for key, value in self._table.items() if key in known}

    def _converted(self, values: dict[str, Any]) -> dict[str, Any]:
        """What has the right type, with lists made of single texts and parts put into patterns."""
        converted: dict[str, Any] = {}
        for key, value in values.items():
            told = len(self._faults)
            if key in CHOICES:
                if value not in CHOICES[key]:
                    self._fault(key, f"{key} is {_quoted(value)}, expected {_either(CHOICES[key])}")
            elif key in LISTS:
                value = self._list(key, [value] if isinstance(value, str) else value)
            elif key == "examples":
                self._check_examples(value if isinstance(value, list) else [value])
            else:
                try:
                    msgspec.convert(value, TYPES[key])
                except msgspec.ValidationError as error:
                    self._fault(key, f"{key} is {_quoted(value)}: {error}")
            if len(self._faults) == told:
                converted[key] = value
        return converted

    def _list(self, key: str, value: object) -> object:
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            self._fault(key, f"{key} is {_quoted(value)}, expected a text or a list of texts, none of them empty")
        elif key in PATTERNS:
            self._written[key] = value
            return [self._expanded(key, pattern) for pattern in value]
        return value

    def _check_examples(self, cases: list[Any]) -> None:
        for case in cases:
            try:
                msgspec.convert(case, Case)
            except msgspec.ValidationError as error:
                said = str(case.get("prompt", "")) if isinstance(case, dict) else ""
                self._fault(
                    "examples", f"example {_quoted(case)}: {error}, expected prompt, breaks and perhaps answer", f'"{said}"'
                )

    def _expanded(self, key: str, pattern: str) -> str:
        def part(match: re.Match[str]) -> str:
            if match[1] not in self._parts:
                names = ", ".join(self._parts) or "one below [parts]"
                self._fault(key, f"{key} names the part {match[1]!r}, expected {names}", match[0])
            return f"(?:{self._parts.get(match[1], '')})"

        return PART.sub(part, pattern)

    def _check_sense(self, rule: Rule) -> None:
        has = [key for key in MATCHERS if self._table.get(key)]
        if len(has) != 1:
            found = " and ".join(has) or "none"
            self._fault(has[1] if has else "", f"it has {found} to be found by, expected exactly one of {', '.join(MATCHERS)}")
        if not SLUG.fullmatch(rule.name):
            self._fault("name", f"name is {_quoted(rule.name)}, expected small letters, digits and hyphens")
        if not rule.reason.strip():
            self._fault("reason", "reason is empty, expected a sentence for people")
        if rule.classifier and rule.classifier not in CLASSIFIERS:
            self._fault("classifier", f"classifier is {_quoted(rule.classifier)}, expected {_either(tuple(CLASSIFIERS))}")
        if not 0 < rule.threshold <= 1:
            self._fault("threshold", f"threshold is {rule.threshold}, expected more than 0 and at most 1")
        if rule.stops and not rule.replacement.strip():
            self._fault("action", f"action is {_quoted(rule.action)} without a replacement, expected what is said instead")
        if rule.action == "replace" and rule.applies_to != "answer":
            self._fault("applies_to", f"applies_to is {_quoted(rule.applies_to)}, expected answer: only an answer is replaced")
        if rule.inline and (not rule.prompt or rule.applies_to != "prompt"):
            self._fault("inline", "inline is for a rule on prompts whose matcher is prompt")
        if (rule.near or rule.unless) and not (rule.pattern or rule.words):
            self._fault("near" if rule.near else "unless", "near and unless are for a rule with pattern or words")
        if rule.asked and not (rule.pattern and rule.applies_to == "both"):
            self._fault("asked", "asked is for a rule with pattern that applies to both: what counts in prompts alone")
        for case in rule.examples:
            if rule.applies_to == "answer" and not case.answer:
                self._fault(
                    "examples", f"example {_quoted(case.prompt)} has no answer, which is what the rule is on", f'"{case.prompt}"'
                )

    def _check_patterns(self, rule: Rule) -> bool:
        told = len(self._faults)
        for key in PATTERNS:
            for pattern, written in zip(getattr(rule, key), self._written.get(key, ()), strict=False):
                try:
                    shape_of(pattern)
                except PatternError as error:
                    self._fault(key, f"{key} {_quoted(written, SHOWN)} {error}", written)
        return len(self._faults) == told

    def _check_reach(self, rule: Rule) -> None:
        if not (rule.pattern or rule.words) or not (rule.stops and rule.is_about("answer")):
            return
        if any(shape_of(pattern).looks_ahead for pattern in rule.pattern):
            self._fault("pattern", "pattern looks ahead, which a rule that stops answers cannot: say it with unless")
        reach = Matcher(rule).reach
        if reach is None or reach > MAX_REACH:
            seen = "has no bound" if reach is None else f"may see {reach} characters"
            key = "pattern" if rule.pattern else "words"
            self._fault(
                key, f"{key} {seen}, expected at most {MAX_REACH} in a rule that stops answers: bound repeats, as .{{0,40}}"
            )


def _unfolded(parts: dict[str, str]) -> dict[str, str]:
    """Parts with the parts that they name, which stand before them."""
    done: dict[str, str] = {}
    for name, pattern in parts.items():
        done[name] = PART.sub(lambda match: f"(?:{done[match[1]]})" if match[1] in done else match[0], pattern)
    return done


def _all_are(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _quoted(value: object, longest: int = 1000) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= longest else f"{text[:longest]}…"


def _either(choices: tuple[str, ...]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
