"""One group of texts, counted as they stream by: what is cheap exactly, what is costly on a sample drawn evenly."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from msgspec import Struct

from learner.corpora.spread import Spread, fingerprint, spread
from learner.curate.words import words
from storage.texts import UNKNOWN_LANGUAGE

SAMPLE_TEXTS = 1000  # of a group that the costly figures look at,
SAMPLE_CHARACTERS = 1000  # and of each of them
IDENTIFIED_TEXTS = 200  # of those, in which a language is looked for
TOKENISED_TEXTS = 50  # of those, whose tokens are counted
NO_LANGUAGE = (UNKNOWN_LANGUAGE, "zxx")  # not to be told; none at all
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
EXACT = ("texts", "characters", "words", "length_words", "exact_duplicates")
SAMPLED = ("tokens", "near_duplicates", "spread", "languages", "stated_language_agrees")

Key = tuple[str, str, str]  # kind, domain, language as stated
Cluster = Callable[[Iterable[str]], list[int]]
Identify = Callable[[str], str]
CountTokens = Callable[[str], int]


class Tools(Struct, frozen=True):
    """What the costly figures need."""

    cluster: Cluster  # a number per text, the same for near duplicates
    identify: Identify  # the language as an ISO code
    count_tokens: CountTokens


class Group(Struct, frozen=True):
    """Texts of one kind, domain and stated language. Shares are of the texts, from 0 to 1."""

    kind: str
    domain: str
    language: str
    texts: int
    characters: int
    words: int
    tokens: int  # characters times the sample's tokens per character
    length_words: tuple[int, int, int, int, int]  # at `QUANTILES`
    exact_duplicates: float  # that say an earlier text's words again
    sampled: int  # texts in the sample
    near_duplicates: float  # of the sample, exact ones included
    spread: Spread
    languages: dict[str, float]  # identified, the most frequent first
    stated_language_agrees: float | None  # None where none is stated


class Tally:
    """The texts of a group so far. Holds twelve bytes of each, and the sample."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.characters = self.words = 0
        self.lengths, self.fingerprints = array("I"), array("Q")
        self.sample: list[str] = []
        self._chance = random.Random("/".join(key))

    def add(self, text: str) -> None:
        folded = words(text)
        self.characters += len(text)
        self.words += len(folded)
        self.lengths.append(len(folded))
        self.fingerprints.append(fingerprint(text, folded))
        self._draw(text[:SAMPLE_CHARACTERS])

    def _draw(self, text: str) -> None:
        """Vitter's Algorithm R (1985): each text is in the sample with the same chance, however many come."""
        if len(self.sample) < SAMPLE_TEXTS:
            self.sample.append(text)
        elif (place := self._chance.randrange(len(self.lengths))) < SAMPLE_TEXTS:
            self.sample[place] = text

    def group(self, tools: Tools) -> Group:
        """The figures; takes a second or so."""
        kind, domain, language = self.key
        languages = Counter(map(tools.identify, self.sample[:IDENTIFIED_TEXTS]))
        clusters = tools.cluster(self.sample)
        return Group(
            kind,
            domain,
            language,
            texts=len(self.lengths),
            characters=self.characters,
            words=self.words,
            tokens=self._tokens(tools.count_tokens),
            length_words=quantiles(self.lengths),
            exact_duplicates=repeated(self.fingerprints),
            sampled=len(self.sample),
            near_duplicates=1 - len(set(clusters)) / len(clusters),
            spread=spread(self.sample),
            languages={code: count / languages.total() for code, count in sorted(languages.items(), key=_most_first)},
            stated_language_agrees=_agreement(language, languages),
        )

    def _tokens(self, count_tokens: CountTokens) -> int:
        looked_at = self.sample[:TOKENISED_TEXTS]
        characters = sum(map(len, looked_at))
        return round(self.characters * sum(map(count_tokens, looked_at)) / characters) if characters else 0


def quantiles(lengths: Sequence[int]) -> tuple[int, int, int, int, int]:
    """Lengths that occur, at `QUANTILES`."""
    p5, p25, p50, p75, p95 = (int(length) for length in np.quantile(np.asarray(lengths), QUANTILES, method="nearest"))
    return p5, p25, p50, p75, p95


def repeated(fingerprints: Sequence[int]) -> float:
    """The share of texts that an earlier one has said already."""
    return 1 - len(np.unique(np.asarray(fingerprints))) / len(fingerprints) if fingerprints else 0.0


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _agreement(stated: str, identified: Counter[str]) -> float | None:
    """Of the texts whose language could be told, how many are in the one stated; regions ("en-GB") aside."""
    code = stated.lower().replace("_", "-").partition("-")[0]
    known = identified.total() - sum(identified[none] for none in NO_LANGUAGE)
    return identified[code] / known if known and code not in ("", *NO_LANGUAGE) else None
