"""Keeps frozen eval items out of training: a row that shows an item's text, or much of it, is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from learner.curate.words import words
from learner.evaluate.suite import Item, Suite

NGRAM_WORDS = 8
MIN_WORDS = 3  # of an item's text: a shorter one ("Hello") says nothing about where a row comes from
MIN_ANSWER_WORDS = 8  # of the right answer: a shorter one is said by anybody who knows it
MIN_CHOICES = 4  # that all together show an item, where they are short: two names beside each other are no sign
LABELS = ("abcdefgh", "12345678")  # that stand before the choices of a question when people write them down

Run = tuple[str, ...]


class Overlap:
    """Finds texts that contain a frozen item's text, or share a run of eight words with a longer one (as GPT-3's cleaning
    did, arXiv 2005.14165, with shorter runs, since the items are short).

    An item's choices count where all are listed in its order, its right answer where all of it is said. How a text is
    written does not matter: case, punctuation, accents, invisible and look-alike characters (`learner.curate.words`).
    """

    def __init__(self, suites: Sequence[Suite]) -> None:
        self._items: dict[Run, str] = {}
        lengths: dict[Run, set[int]] = {}
        for suite in suites:
            for item in suite.items:
                for run in _runs(item):
                    self._items.setdefault(run, f"{suite.name}/{item.id}")
                    lengths.setdefault(run[:MIN_WORDS], set()).add(len(run))
        self._lengths = {head: tuple(sorted(found)) for head, found in lengths.items()}  # of runs by their first words

    def __contains__(self, text: str) -> bool:
        return self.find(text) is not None

    def find(self, text: str) -> str | None:
        """The item a text overlaps, as "suite/item"; None where it overlaps none."""
        found = words(text)
        if self._lengths.keys().isdisjoint(_heads(found)):  # nearly always, and fast
            return None
        for at, head in enumerate(_heads(found)):
            for length in self._lengths.get(head, ()):
                if item := self._items.get(tuple(found[at : at + length])):
                    return item
        return None


def proof(suites: Sequence[Suite]) -> dict[str, str]:
    """What a dataset says it was checked against: the hash of each suite by its name."""
    return {suite.name: suite.sha256 for suite in suites}


def _heads(found: Sequence[str]) -> Iterable[Run]:
    return zip(found, found[1:], found[2:], strict=False)


def _runs(item: Item) -> Iterator[Run]:
    """The runs of words that show the item."""
    for text in (*(turn.content for turn in (*item.prompt, *item.neutral)), item.text, *(() if item.prompt else item.choices)):
        said = tuple(words(text))
        length = min(len(said), NGRAM_WORDS)
        if length >= MIN_WORDS:
            yield from (said[at : at + length] for at in range(len(said) - length + 1))
    if item.choices:
        for listed in map(tuple, map(words, _listings(item.choices))):
            if len(listed) >= NGRAM_WORDS or (len(item.choices) >= MIN_CHOICES and not all(map(str.isdigit, listed))):
                yield listed
        if len(answer := tuple(words(item.choices[item.answer]))) >= MIN_ANSWER_WORDS:
            yield answer


def _listings(choices: Sequence[str]) -> Iterator[str]:
    """The choices as people write them one after another."""
    yield " ".join(choices)
    yield " ".join([*choices[:-1], "or", choices[-1]])
    for labels in LABELS:
        yield " ".join(f"{label} {choice}" for label, choice in zip(labels, choices, strict=False))
