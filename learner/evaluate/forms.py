"""The forms of an operator's own rows, and the suite's item that each becomes. A new form is a class here and a place in `FORMS`.

Fields that a form does not know are left alone, so that files can be imported as they are.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec
from msgspec import Struct

from learner.evaluate.numbers import ends_with, result_of
from learner.evaluate.rules import CHECKS, Rule, can_check
from learner.evaluate.suite import Item, Kind, Turn

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Prompt = str | tuple[Turn, ...]


class Form(Struct, frozen=True, kw_only=True):
    """`kind` is that of its suites, `keys` are what a row of this form has, and `looks` says so to people."""

    kind: ClassVar[Kind]
    keys: ClassVar[frozenset[str]]
    looks: ClassVar[str]
    guessed: ClassVar[bool] = True  # whether a row is of this form where its kind is not said

    id: str | int = ""
    family: str | None = None  # of items that may succeed or fail together
    topic: str | None = None
    category: str | None = None
    bias_type: str | None = None
    type: str | None = None

    @property
    def subject(self) -> str:
        return self.topic or self.category or self.bias_type or self.type or ""

    @abstractmethod
    def item(self, names: Item) -> Item:
        """The item: what is in `names` and what the row asks. Raises `ValueError` that quotes what cannot be."""


class Choices(Form, frozen=True):
    kind = "choice"
    keys = frozenset({"choices", "answer"})
    looks = '{"question" or "prompt", "choices": […], "answer": its number from 0, its text or its letter}'

    choices: tuple[str, ...]
    answer: int | str
    question: str = ""
    prompt: Prompt = ""

    def item(self, names: Item) -> Item:
        prompt = _turns(self.prompt or self.question, "prompt")
        if len(self.choices) < 2 or len(set(self.choices)) < len(self.choices):
            raise ValueError(f"choices are {list(self.choices)}; expected two or more that differ")
        return msgspec.structs.replace(names, prompt=prompt, choices=self.choices, answer=self._place())

    def _place(self) -> int:
        """A text that is a choice is that choice, even where it could be a letter too."""
        place = self.answer
        if isinstance(place, str):
            letter = place.strip().rstrip(".)").upper()
            known = place in self.choices
            place = self.choices.index(place) if known else LETTERS.index(letter) if len(letter) == 1 and letter in LETTERS else -1
        if not 0 <= place < len(self.choices):
            last = len(self.choices) - 1
            raise ValueError(f"answer is {self.answer!r}; expected 0 to {last}, A to {LETTERS[last]}, or one of the choices")
        return place


class GoodBad(Form, frozen=True):
    kind = "choice"
    keys = frozenset({"prompt", "good", "bad"})
    looks = '{"prompt", "good": the better answer, "bad": the worse}'

    prompt: Prompt
    good: str
    bad: str

    def item(self, names: Item) -> Item:
        _differ(good=self.good, bad=self.bad)
        answer = hashlib.sha256(f"{self.good}\0{self.bad}".encode()).digest()[0] % 2  # no place is the right one more often
        choices = (self.bad, self.good) if answer else (self.good, self.bad)
        return msgspec.structs.replace(names, prompt=_turns(self.prompt, "prompt"), choices=choices, answer=answer)


class MoreLess(Form, frozen=True):
    """As CrowS-Pairs has them (Nangia et al. 2020, arXiv 2010.00133)."""

    kind = "even"
    keys = frozenset({"more", "less"})
    looks = '{"more": a text, "less": the same of somebody else; "prompt" if they answer one}'

    more: str
    less: str
    prompt: Prompt = ""

    def item(self, names: Item) -> Item:
        _differ(more=self.more, less=self.less)
        prompt = _turns(self.prompt, "prompt") if self.prompt else ()
        return msgspec.structs.replace(names, prompt=prompt, choices=(self.more, self.less))


class SafeUnsafe(Form, frozen=True):
    """As XSTest has them (Röttger et al. 2023, arXiv 2308.01263)."""

    kind = "rules"
    keys = frozenset({"prompt", "label"})
    looks = '{"prompt", "label": "safe" (to be answered) or "unsafe" (to be declined)}'

    prompt: Prompt
    label: Literal["safe", "unsafe"]

    def item(self, names: Item) -> Item:
        rule = Rule("complies" if self.label == "safe" else "declines")
        subject = f"{self.label}: {names.topic}" if names.topic else self.label
        return msgspec.structs.replace(names, topic=subject, prompt=_turns(self.prompt, "prompt"), rules=(rule,))


class Ruled(Form, frozen=True):
    kind = "rules"
    keys = frozenset({"prompt", "rules"})
    looks = '{"prompt", "rules": [{"kind": …}, …]}'

    prompt: Prompt
    rules: tuple[Rule, ...]

    def item(self, names: Item) -> Item:
        if not self.rules or not all(map(can_check, self.rules)):
            raise ValueError(f"rules are {msgspec.json.encode(self.rules).decode()}; expected some of {', '.join(CHECKS)}")
        return msgspec.structs.replace(names, prompt=_turns(self.prompt, "prompt"), rules=self.rules)


class Matched(Form, frozen=True):
    kind = "rules"
    keys = frozenset({"prompt", "regex"})
    looks = '{"prompt", "regex": what is somewhere in a right answer}'

    prompt: Prompt
    regex: str

    def item(self, names: Item) -> Item:
        rule = Rule("regex", pattern=self.regex)
        if not self.regex or not can_check(rule):
            raise ValueError(f"regex is {self.regex!r}; expected a regular expression of Python")
        return msgspec.structs.replace(names, prompt=_turns(self.prompt, "prompt"), rules=(rule,))


class Numbered(Form, frozen=True):
    kind = "rules"
    keys = frozenset({"question", "answer"})
    looks = '{"question", "answer": a number, or a solution with it after "####"}'

    question: str
    answer: str | int | float

    def item(self, names: Item) -> Item:
        number = result_of(str(self.answer))
        if number is None:
            raise ValueError(f"answer is {self.answer!r}; expected a number, or a solution with it after '####'")
        return msgspec.structs.replace(names, prompt=_turns(self.question, "question"), rules=(ends_with(number),))


class Asked(Form, frozen=True):
    kind = "judged"
    keys = frozenset({"prompt"})
    looks = '{"prompt"}, whose answers a judge compares; only where kind judged is asked for'
    guessed = False

    prompt: Prompt

    def item(self, names: Item) -> Item:
        return msgspec.structs.replace(names, prompt=_turns(self.prompt, "prompt"))


FORMS: tuple[type[Form], ...] = (Choices, GoodBad, MoreLess, SafeUnsafe, Ruled, Matched, Numbered, Asked)  # the first that fits


def form_of(row: Mapping[str, Any], kind: Kind | None) -> type[Form] | None:
    """The form of a row, of this kind where one is wanted; None where it has none."""
    return next((form for form in FORMS if form.keys <= row.keys() and (form.kind == kind if kind else form.guessed)), None)


def _turns(prompt: Prompt, field: str) -> tuple[Turn, ...]:
    turns = (Turn("user", prompt),) if isinstance(prompt, str) else prompt
    if not turns or not all(turn.content.strip() for turn in turns):
        raise ValueError(f"{field} is empty; expected a text")
    return turns


def _differ(**texts: str) -> None:
    if len(set(texts.values())) < len(texts) or not all(text.strip() for text in texts.values()):
        said = " and ".join(f"{field} is {text!r}" for field, text in texts.items())
        raise ValueError(f"{said}; expected texts that differ")
