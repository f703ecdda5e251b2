"""Keeps frozen eval items out of training: a row that shows an item's text, or much of it, is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from learner.evaluate.suite import Suite

NGRAM_WORDS = 8
MIN_WORDS = 3  # of an item's text: a shorter one ("Hello") says nothing about where a row comes from
WORDS = re.compile(r"\w+")


class Overlap:
    """Finds texts that contain a frozen item's text, or share a run of eight words with a longer one (as GPT-3's cleaning
    did, arXiv 2005.14165, with shorter runs, since the items are short)."""

    def __init__(self, suites: Sequence[Suite]) -> None:
        self._runs: dict[int, set[tuple[str, ...]]] = {}  # by length
        for suite in suites:
            for item in suite.items:
                for text in (*(turn.content for turn in (*item.prompt, *item.neutral)), item.text):
                    words = _words(text)
                    length = min(len(words), NGRAM_WORDS)
                    if length >= MIN_WORDS:
                        self._runs.setdefault(length, set()).update(_runs(words, length))

    def __contains__(self, text: str) -> bool:
        words = _words(text)
        return any(run in known for length, known in self._runs.items() for run in _runs(words, length))


def _words(text: str) -> tuple[str, ...]:
    return tuple(WORDS.findall(text.lower()))


def _runs(words: tuple[str, ...], length: int) -> Iterable[tuple[str, ...]]:
    return (words[at : at + length] for at in range(len(words) - length + 1))
