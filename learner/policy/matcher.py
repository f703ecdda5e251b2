"""A rule's patterns or words, compiled: where in a text they match."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import regex

from learner.policy.fold import fold, fold_look_alikes
from learner.policy.openings import opening_of
from learner.policy.regexes import shape_of
from learner.policy.rule import Rule

AROUND = 80  # characters before and after a match in which the words of `near` and `unless` count


EDGE = re.compile(r"(?<!\\)((?:\\\\)*)(\\[bB]|\(\?<?!\\w\))")
# An edge, or what may be one: the end, and beside letters that `re` and `regex` do not agree on. The first group are
# backslashes that are letters themselves.
EDGE_OR_UNKNOWN = r"\1(?:\2|\\Z|(?<=[^\\x00-\\x7f])|(?=[^\\x00-\\x7f]))"
Search = Callable[[str, int], "re.Match[str] | None"]


class Found(NamedTuple):
    """From where to where in the folded text."""

    start: int
    end: int


class Matcher:
    """Finds what breaks a rule that has patterns or words. Texts are folded; see learner/policy/fold.py."""

    def __init__(self, rule: Rule) -> None:
        self.look_alikes = bool(rule.words)
        self.sources = rule.pattern or (phrases_in(rule.words, look_alikes=True),)
        shapes = [shape_of(source) for source in self.sources]
        self.needs = [shape.needs for shape in shapes]  # of each pattern
        self._searches = [re.compile(source).search for source in self.sources]
        self._opening = opening_of(self.sources)
        self._near, self._unless = self._searcher(rule.near), self._searcher(rule.unless)
        around = AROUND if rule.near or rule.unless else 0
        widths = [shape.width for shape in shapes if shape.width is not None]
        self.reach = max(widths) + max(around, 1) if len(widths) == len(shapes) else None

    def find(self, folded: str, patterns: Sequence[int]) -> Found | None:
        """The first place where the rule is broken, by the patterns of these numbers."""
        text = self._view(folded)
        found = (one for number in patterns if (one := self._find(text, self._searches[number])) is not None)
        return min(found, default=None)

    def _find(self, text: str, search: Search) -> Found | None:
        at = 0
        while match := search(text, at):
            if self._forbids(text, found := Found(*match.span())):
                return found
            at = match.start() + 1
        return None

    def opens(self, folded: str, at: int) -> int | None:
        """The first place from `at` on where a match may begin, whatever follows; None where there is none. Quick."""
        if self._opening is None:
            return at
        found = self._opening.search(self._view(folded), at)
        return None if found is None else found.start()

    def first(self, folded: str, at: int) -> Found | None:
        """The first place from `at` on that matches, whatever is around it."""
        text = self._view(folded)
        return min((Found(*match.span()) for search in self._searches if (match := search(text, at))), default=None)

    def forbids(self, folded: str, found: Found) -> bool:
        """Whether what is around the match leaves it forbidden."""
        return self._forbids(self._view(folded), found)

    def _forbids(self, text: str, found: Found) -> bool:
        if self._near is None and self._unless is None:
            return True
        window = text[max(found.start - AROUND, 0) : found.end + AROUND]
        if self._near is not None and self._near.search(window) is None:
            return False
        return self._unless is None or self._unless.search(window) is None

    def may_begin(self, folded: str, at: int) -> int:
        """The first place from `at` on from where a match may be going on beyond the text's end; its length where none is."""
        found = self._partial.search(self._view(folded), at, partial=True)
        return len(folded) if found is None else found.start()

    def _searcher(self, phrases: Sequence[str]) -> re.Pattern[str] | None:
        return re.compile(phrases_in(phrases, self.look_alikes)) if phrases else None

    @cached_property
    def _partial(self) -> regex.Pattern[str]:
        """At a text's end nobody knows yet whether it is the edge of a word."""
        return regex.compile("|".join(f"(?:{EDGE.sub(EDGE_OR_UNKNOWN, source)})" for source in self.sources))

    def _view(self, folded: str) -> str:
        return fold_look_alikes(folded) if self.look_alikes else folded


class Openings:
    """Where matches of any of these rules may begin: one look for all of them."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        viewed: dict[bool, list[str]] = {}  # by whether look-alikes count
        for matcher in matchers:
            viewed.setdefault(matcher.look_alikes, []).extend(matcher.sources)
        self._openings = [(look_alikes, opening_of(sources)) for look_alikes, sources in viewed.items()]

    def any(self, folded: str, at: int) -> bool:
        """Whether a match may begin in a folded text that goes on, from `at` on."""
        for look_alikes, opening in self._openings:
            if opening is None or opening.search(fold_look_alikes(folded) if look_alikes else folded, at):
                return True
        return False


def phrases_in(phrases: Sequence[str], look_alikes: bool = False) -> str:
    """A pattern for any of the phrases, as whole words, in a folded text."""
    plain = {" ".join(fold(phrase).text.split()) for phrase in phrases}
    viewed = {fold_look_alikes(phrase) if look_alikes else phrase for phrase in plain}
    either = "|".join(re.escape(phrase) for phrase in sorted(viewed, key=lambda text: (-len(text), text)))
    return rf"(?<!\w)(?:{either})(?!\w)"
