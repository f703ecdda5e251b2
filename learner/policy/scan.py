"""An answer judged while it is being said: nothing forbidden goes out, not even the first half of it.

Only what may be the beginning of something forbidden is held back, and never more than a rule's reach.
"""

from __future__ import annotations

from typing import NamedTuple

from learner.policy.fold import Folded, fold
from learner.policy.matcher import AROUND, Found, Matcher
from learner.policy.policy import Breach, Policy, breach
from learner.policy.rule import Rule

KEPT = AROUND + 16  # characters of what went out that are still looked at, for what may follow them


class Step(NamedTuple):
    """Text up to `upto` may go out. Where there is a breach it is the text before it, and the breach what comes next."""

    upto: int
    breach: Breach | None = None


class Scan:
    """Takes an answer piece by piece. Only rules that stop answers count; places are those of the whole answer."""

    def __init__(self, policy: Policy) -> None:
        self._watched = [(rule, matcher) for rule in policy.stopping if (matcher := policy.matcher(rule)) is not None]
        self._opaque = any(rule.classifier for rule in policy.stopping)  # no part of an answer can be told from it
        self._policy = policy
        self._text, self._base, self._from = "", 0, 0  # the end of the answer, where it begins, and what is not settled yet

    @property
    def idle(self) -> bool:
        """Whether no rule can stop anything."""
        return not self._watched and not self._opaque

    def take(self, text: str) -> list[Step]:
        """What the answer's next piece settles."""
        harmless = not self._opaque and self._is_settled and self._begins_nothing(text)
        self._text += text
        if harmless:
            return self._settle(len(self._text))
        return [] if self._opaque else self._steps(final=False)

    def finish(self) -> list[Step]:
        """What its end settles: everything."""
        steps = self._steps(final=True)
        if self._opaque and not any(step.breach for step in steps):
            stopping = (one for one in self._policy.breaches(self._text, "answer") if one.action != "flag")
            steps = [Step(one.start, one) for one in stopping][:1] or steps
        return steps

    def _steps(self, final: bool) -> list[Step]:
        folded = fold(self._text)
        at, steps = _number(folded, self._from - self._base), []
        while True:
            settled, found = self._next(folded, at, final)
            if found is None:
                break
            rule, place = found
            one = breach(rule, "answer", folded, place)
            steps.append(Step(self._base + one.start, _moved(one, self._base)))
            at = place.start + 1
        return [*steps, *self._settle(len(self._text) if final else folded.place(settled))]

    @property
    def _is_settled(self) -> bool:
        return self._from == self._base + len(self._text)

    def _begins_nothing(self, text: str) -> bool:
        """Whether no match may begin in what follows a settled text. Quick, and where it cannot tell, it says no."""
        before = self._text[-1:]  # of ASCII it becomes one character, whatever is before it
        joined = before + text
        return joined.isascii() and not self._policy.openings.any(fold(joined).text, len(before))

    def _settle(self, length: int) -> list[Step]:
        self._from = self._base + length
        self._forget()
        return [Step(self._from)]

    def _next(self, folded: Folded, at: int, final: bool) -> tuple[int, tuple[Rule, Found] | None]:
        """How far nothing forbidden begins, and the first that does."""
        first: tuple[Rule, Found] | None = None
        settled = len(folded.text)
        for rule, matcher in self._watched:
            upto, found = _look(matcher, folded.text, at, final)
            settled = min(settled, upto)
            if found and (first is None or found.start < first[1].start):
                first = rule, found
        if first is not None and first[1].start > settled:
            first = None  # another rule may still find something before it
        return settled, first

    def _forget(self) -> None:
        if not self._opaque and (gone := self._from - self._base - KEPT) > KEPT:
            self._text, self._base = self._text[gone:], self._base + gone


def _look(matcher: Matcher, text: str, at: int, final: bool) -> tuple[int, Found | None]:
    """How far a rule is settled, and the first match that it forbids, once nothing that follows can change it."""
    assert matcher.reach is not None, "a rule that stops answers has a bound"
    opened = matcher.opens(text, at)
    if opened is None:
        return len(text), None
    at = opened
    while found := matcher.first(text, at):
        if not final and found.start + matcher.reach > len(text):
            return max(at, min(found.start, len(text) - matcher.reach + 1)), None
        if matcher.forbids(text, found):
            return found.start, found
        at = found.start + 1
    return (len(text) if final else max(matcher.may_begin(text, at), len(text) - matcher.reach + 1)), None


def _number(folded: Folded, place: int) -> int:
    """The folded character at or after a place in the text."""
    if folded.at is None:
        return place
    return next((number for number, at in enumerate(folded.at) if at >= place), len(folded.text))


def _moved(one: Breach, by: int) -> Breach:
    return Breach(one.rule, one.severity, one.action, one.reason, one.where, one.start + by, one.end + by, one.replacement)
