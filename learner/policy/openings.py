"""What a match of an expression begins with, so that most of a stream need not be searched for it.

Read from the parse tree of Python's own `re`, like `learner.policy.regexes`.
"""

from __future__ import annotations

import re
import re._constants as c  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Collection, Sequence
from itertools import product
from typing import Any

LETTERS = 4  # of an opening
MOST = 400  # openings of one expression; of more, nothing is known
NO_WORD_BEFORE = r"(?<!\w(?s:.))"  # after the first letter of what begins a word
Starts = frozenset[tuple[str, bool]]  # texts, and whether what follows in the expression comes right after
ANYTHING: Starts = frozenset([("", False)])
NOTHING: Starts = frozenset([("", True)])
REPEATS = (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT)


def opening_of(patterns: Collection[str]) -> re.Pattern[str] | None:
    """Finds, in a text that goes on, the first place where a match of any of the patterns may begin; None where all may be.

    At the text's end part of an opening is enough. It may find more places than there are, and never fewer.
    """
    found = [_openings(pattern) for pattern in patterns]
    if not all(openings for openings, _ in found):
        return None
    at_edge = {opening for openings, anchored in found if anchored for opening in openings}
    anywhere = {opening for openings, anchored in found if not anchored for opening in openings}
    return re.compile("|".join([*_branches(at_edge, NO_WORD_BEFORE), *_branches(anywhere, "")]))


def _branches(texts: Collection[str], check: str = "") -> list[str]:
    """A branch for each first letter, with a check right after it, so that the search skips to those letters."""
    rests: dict[str, set[str]] = {}
    for text in sorted(texts):
        rests.setdefault(text[0], set()).add(text[1:])
    return [re.escape(letter) + check + _rest(following) for letter, following in rests.items()]


def _rest(texts: Collection[str]) -> str:
    """Any of the texts, or as much of it as there is before the end."""
    return "" if "" in texts else rf"(?:\Z|{'|'.join(_branches(texts))})"


def _openings(pattern: str) -> tuple[frozenset[str], bool]:
    """What matches begin with, and whether only at the beginning of a word; empty where nothing is known."""
    tree = list(parser.parse(pattern))
    texts = frozenset(text for text, _ in _starts(tree))
    if "" in texts:
        return frozenset(), False
    op, value = tree[0]
    at_edge = (op is c.AT and value is c.AT_BOUNDARY) or (op is c.ASSERT_NOT and _is_word_behind(value))
    return texts, at_edge and all(re.match(r"\w", text) for text in texts)


def _is_word_behind(value: Any) -> bool:
    direction, inside = value
    return direction < 0 and list(inside) == [(c.IN, [(c.CATEGORY, c.CATEGORY_WORD)])]


def _starts(tree: Sequence[Any]) -> Starts:
    starts = NOTHING
    for op, value in tree:
        if not any(whole for _, whole in starts):
            break
        starts = _then(starts, _starts_of(op, value))
    return starts


def _then(starts: Starts, following: Starts) -> Starts:
    """What begins by one and goes on by the other, as far as it matters."""
    ended = {start for start in starts if not start[1]}
    joined = {(text + more, whole) for (text, on), (more, whole) in product(starts, following) if on}
    both = ended | {(text[:LETTERS], whole and len(text) < LETTERS) for text, whole in joined}
    return frozenset(both) if len(both) <= MOST else ANYTHING


def _starts_of(op: Any, value: Any) -> Starts:
    if op is c.LITERAL:
        return frozenset([(chr(value), True)])
    if op is c.IN:
        return _starts_of_class(value)
    if op in (c.AT, c.ASSERT, c.ASSERT_NOT):
        return NOTHING
    if op is c.BRANCH:
        each = [_starts(branch) for branch in value[1]]
        return frozenset().union(*each)
    if op is c.SUBPATTERN:
        return _starts(value[-1])
    if op is c.ATOMIC_GROUP:
        return _starts(value)
    if op in REPEATS:
        least, most, body = value
        once = frozenset((text, whole and most == 1) for text, whole in _starts(body))
        return once if least else once | NOTHING
    return ANYTHING


def _starts_of_class(members: Sequence[Any]) -> Starts:
    """The letters of a class like [ab0-9]; of one that says what is not in it, or names a kind, anything."""
    letters: set[str] = set()
    for op, value in members:
        if op is c.LITERAL:
            letters.add(chr(value))
        elif op is c.RANGE and value[1] - value[0] < MOST:
            letters |= {chr(code) for code in range(value[0], value[1] + 1)}
        else:
            return ANYTHING
    return frozenset((letter, True) for letter in letters)
