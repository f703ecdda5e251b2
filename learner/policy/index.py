"""Which patterns may match a text, told from its words: most texts hold nothing that any pattern needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from learner.policy.fold import fold_look_alikes
from learner.policy.matcher import Matcher

WORDS = re.compile(r"\w+").findall
REMEMBERED = 100_000  # words, before they are looked at anew


class Index:
    """Made of a policy's matchers, by the names of their rules. Every need of every pattern is a bit."""

    def __init__(self, matchers: Mapping[str, Matcher]) -> None:
        self._needs: list[tuple[str, int]] = []  # what a word may hold → bits
        self._patterns: list[tuple[str, int, int]] = []  # rule, number of the pattern, its bits
        self._bits: dict[str, int] = {}  # of words that were seen
        self._look_alikes = any(matcher.look_alikes for matcher in matchers.values())
        bit = 1
        for name, matcher in matchers.items():
            for number, needs in enumerate(matcher.needs):
                bits = 0
                for texts in needs:
                    self._needs += [(text, bit) for text in texts]
                    bits |= bit
                    bit <<= 1
                self._patterns.append((name, number, bits))

    def candidates(self, folded: str) -> dict[str, list[int]]:
        """The numbers of the patterns that may match the text, by rule."""
        held = self._held(folded)
        found: dict[str, list[int]] = {}
        for name, number in [(name, number) for name, number, needed in self._patterns if held & needed == needed]:
            found.setdefault(name, []).append(number)
        return found

    def _held(self, folded: str) -> int:
        """The bits of all that the text's words hold."""
        known, bits = self._bits, 0
        for word in WORDS(folded):
            found = known.get(word)
            bits |= self._learn(word) if found is None else found
        if self._look_alikes and (viewed := fold_look_alikes(folded)) != folded:
            for word in WORDS(viewed):
                bits |= self._learn(word)
        return bits

    def _learn(self, word: str) -> int:
        if len(self._bits) >= REMEMBERED:
            self._bits.clear()
        found = 0
        for text, bit in self._needs:
            if text in word:
                found |= bit
        self._bits[word] = found
        return found
