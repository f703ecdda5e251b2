"""What a text is about: its content words, without the frame they stand in.

Content words are compared by crude stems ("eats" and "eat", "moons" and "moon" are one), numbers by their value ("forty"
is "40"). This is English where it knows words; of other languages it takes every word of some length for content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from learner.curate.wordlists import EVERYDAY_WORDS, STOP_WORDS
from learner.curate.words import words

Cluster = Callable[[Sequence[str]], Sequence[int]]  # near-duplicates have the same number, that of their first

THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
SENTENCE = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|\n+")
STOP = frozenset(words(STOP_WORDS))
TINY = 1e-9
ALIKE = 0.5  # Jaccard similarity of content words from which two texts say the same

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve"
_TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS = {word: number for number, word in enumerate(f"{_UNITS} {_TEENS}".split())}
NUMBERS |= {word: 10 * number for number, word in enumerate(_TENS.split(), start=2)}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "dozen": 12}


def sentences(text: str) -> list[str]:
    """Its sentences and lines, none of them empty."""
    return [sentence for part in SENTENCE.split(text) if (sentence := part.strip())]


def stem(word: str) -> str:
    """The word without its commonest English endings; two letters of it at least stay."""
    if word.isdigit() or len(word) < 4:
        return word
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ied", "y"), ("ed", ""), ("es", ""), ("s", ""), ("ly", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith(("ss", "us", "is")):
            word = word[: -len(ending)] + instead
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def content(text: str) -> frozenset[str]:
    """Stems of the words that are not mere frame, and its numbers by value."""
    return frozenset(_number_or_stem(words(THOUSANDS.sub("", text))))


def _number_or_stem(found: Sequence[str]) -> Iterable[str]:
    number: int | None = None
    for word in (*found, ""):
        said = NUMBERS.get(word)
        if number is not None and said is not None and number >= 20 and number % 10 == 0 and 0 < said < 10:
            number += said  # "twenty", "five"
            continue
        if word in SCALES:
            number = (number or 1) * SCALES[word]
            continue
        if number is not None and number != 1:  # "one" is mostly an article
            yield str(number)
        number = said
        if said is None and word and word not in STOP:
            yield stem(word) if not word.isdigit() else word.lstrip("0") or "0"


EVERYDAY = frozenset(stem(word) for word in EVERYDAY_WORDS.split())


def is_number(term: str) -> bool:
    return any(character.isdigit() for character in term)


def rare(terms: Iterable[str], common: frozenset[str] = frozenset()) -> frozenset[str]:
    """Those that say something of their own: numbers, and words that are not everyday's or in `common`."""
    return frozenset(term for term in terms if is_number(term) or (len(term) > 1 and term not in EVERYDAY and term not in common))


def alike(texts: Sequence[str], least: float = ALIKE) -> list[int]:
    """A number for each text, that of the first of its cluster: texts that share their content words, in any order.

    Exact Jaccard similarity of all pairs, linked where it is `least` or more; for as many texts as a cycle's budget, which
    a product of sparse matrices does in seconds. A word weighs by how few of the texts have it (the squared inverse document
    frequency of Spärck Jones 1972), so that what everybody's answers are built of makes nothing alike.
    A text without content is like those with the same words only.
    """
    told = [content(text) or frozenset([" ".join(words(text))]) for text in texts]
    bags = list(dict.fromkeys(told))  # what is said again makes its words no commoner
    vocabulary: dict[str, int] = {}
    cells = [(row, vocabulary.setdefault(term, len(vocabulary))) for row, bag in enumerate(bags) for term in bag]
    if not cells:
        return []
    rows, columns = zip(*cells, strict=True)
    counts = np.bincount(columns)
    weights = (np.log1p(len(bags) / counts) ** 2)[list(columns)]
    plain = sparse.csr_matrix((np.ones(len(cells)), (rows, columns)), shape=(len(bags), len(vocabulary)))
    weighted = sparse.csr_matrix((weights, (rows, columns)), shape=plain.shape)
    shared = (plain @ weighted.T).tocoo()
    sizes = np.asarray(weighted.sum(axis=1)).ravel()
    union = sizes[shared.row] + sizes[shared.col] - shared.data
    linked = shared.data >= least * union - TINY
    graph = sparse.coo_matrix((shared.data[linked], (shared.row[linked], shared.col[linked])), shape=shared.shape)
    _, labels = connected_components(graph, directed=False)
    label_of = dict(zip(bags, labels.tolist(), strict=True))
    first: dict[int, int] = {}
    return [first.setdefault(label_of[bag], number) for number, bag in enumerate(told)]
