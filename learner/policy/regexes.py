"""What can be known of a regular expression without running it: how long it may take, how far it looks, what it needs.

It is read from the parse tree of Python's own `re`.
"""

from __future__ import annotations

import re
import re._constants as c  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from learner.policy.fold import fold

MANY = 1000  # how often `*` and `+` are taken to match
MAX_WAYS = 300_000  # in which a match may be tried from one place: more could keep a service busy for seconds
WORD = re.compile(r"\w+")
REPEATS = (c.MAX_REPEAT, c.MIN_REPEAT)


class PatternError(Exception):
    """The expression cannot be used; the message says why and what to write."""


class Shape(Struct, frozen=True):
    """`width` is the longest match; None where there is no bound."""

    width: int | None
    looks_ahead: bool
    needs: tuple[frozenset[str], ...]  # every match holds, of each of these, one at least: inside words, so letters and digits only


@lru_cache(maxsize=1024)
def shape_of(pattern: str) -> Shape:
    """Raises `PatternError` for what does not compile, matches nothing at all, or may take too long."""
    try:
        re.compile(pattern)
        tree = parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"is no regular expression: {error}") from error
    if (letter := next((one for one in set(_letters(tree)) if fold(one).text != one), None)) is not None:
        raise PatternError(f"holds {letter!r}, but texts are compared without capitals and accents: expected {fold(letter).text!r}")
    shortest, longest = tree.getwidth()
    if shortest == 0:
        raise PatternError("matches an empty text: expected one that needs a character at least")
    if (ways := _ways(tree)) > MAX_WAYS:
        raise PatternError(
            f"may take too long: it can be tried in {_told(ways)} ways from one place, expected {MAX_WAYS} at most; "
            "bound what repeats, as .{0,40}, and let what repeats inside a repeat keep what it takes, as \\w++"
        )
    return Shape(None if longest >= c.MAXREPEAT or longest > 10**6 else longest, _looks_ahead(tree), tuple(_needs(tree)))


def _told(ways: float) -> str:
    return "countless" if ways > 1e12 else f"{ways:,.0f}"


def _ways(tree: Any) -> float:
    """An upper bound for how many ways backtracking may try from one place: what follows a choice is tried for each."""
    product = 1.0
    for op, value in tree:
        product *= _ways_of(op, value)
    return product


def _ways_of(op: Any, value: Any) -> float:
    if op in REPEATS:
        least, most, body = value
        most, inner = min(int(most), max(MANY, least)), _ways(body)
        if inner == 1:
            return float(most - least + 1)
        return float("inf") if most * inner > MAX_WAYS else sum(min(inner**n, 1e300) for n in range(least, most + 1))
    if op is c.SUBPATTERN:
        return _ways(value[-1])
    if op is c.BRANCH:
        return _ways_of_branch([list(branch) for branch in value[1]])
    return 1  # a character, a place, or what keeps its first match: possessive, atomic, looking around


def _ways_of_branch(branches: Sequence[Sequence[Any]]) -> float:
    """Of branches that go on with different letters one alone can match: they are a tree of letters, not a list to be tried."""
    by_letter: dict[Any, list[Sequence[Any]]] = {}
    anywhere = 0.0
    for branch in branches:
        if len(branch) and branch[0][0] is c.LITERAL:
            by_letter.setdefault(branch[0][1], []).append(branch[1:])
        else:
            anywhere += _ways(branch)
    alone = (_ways(rest[0]) if len(rest) == 1 else _ways_of_branch(rest) for rest in by_letter.values())
    return max(alone, default=0) + anywhere


def _looks_ahead(tree: Any) -> bool:
    return any(
        value[0] > 0 if op in (c.ASSERT, c.ASSERT_NOT) else any(_looks_ahead(inner) for inner in _inside(op, value))
        for op, value in tree
    )


def _inside(op: Any, value: Any) -> list[Any]:
    if op in (*REPEATS, c.POSSESSIVE_REPEAT):
        return [value[2]]
    if op is c.BRANCH:
        return list(value[1])
    if op is c.SUBPATTERN:
        return [value[-1]]
    return [value] if op is c.ATOMIC_GROUP else []


def _letters(tree: Any) -> Iterator[str]:
    for op, value in tree:
        if op in (c.LITERAL, c.NOT_LITERAL):
            yield chr(value)
        elif op is c.IN:
            yield from _letters(one for one in value if one[0] is c.LITERAL)
            yield from (chr(end) for one in value if one[0] is c.RANGE for end in one[1])
        else:
            for inner in _inside(op, value):
                yield from _letters(inner)


def _needs(tree: Any) -> list[frozenset[str]]:
    """Of each part of a sequence that cannot be left out, the texts of which one must be there."""
    found: list[frozenset[str]] = []
    run = ""
    for op, value in [*tree, (None, None)]:
        if op is c.LITERAL:
            run += chr(value)
            continue
        if piece := max(WORD.findall(run), key=len, default=""):
            found.append(frozenset([piece]))
        run = ""
        found += _needs_of(op, value)
    return found


def _needs_of(op: Any, value: Any) -> list[frozenset[str]]:
    if op is c.SUBPATTERN:
        return _needs(value[-1])
    if op is c.ATOMIC_GROUP:
        return _needs(value)
    if op in (*REPEATS, c.POSSESSIVE_REPEAT):
        return _needs(value[2]) if value[0] else []
    if op is c.BRANCH:
        each = [_needs(branch) for branch in value[1]]
        return [frozenset().union(*(max(needs, key=_worth) for needs in each))] if all(each) else []
    return []


def _worth(texts: frozenset[str]) -> tuple[int, int]:
    return min(len(text) for text in texts), -len(texts)
