"""How varied texts are: n-grams that are new, how evenly they are used, and how little a compressor finds to repeat."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from learner.curate.words import words

ORDERS = (1, 2, 3)  # lengths of the n-grams
MAX_WORDS = 20_000  # looked at: fewer n-grams are new in a longer text, so only samples of one size can be compared


class Spread(Struct, frozen=True):
    words: int  # that were looked at
    distinct: tuple[float, float, float]  # share of different ones among all n-grams of 1, 2, 3 words (arXiv 1510.03055)
    entropy_bits: tuple[float, float, float]  # of the same n-grams (arXiv 1809.05972)
    compression: float  # size over compressed size: higher for texts that repeat each other (arXiv 2403.00553)


def fingerprint(text: str, folded: Sequence[str]) -> int:
    """64 bits that texts of the same words share; `folded` are the words."""
    normal = " ".join(folded) or text.strip()  # what has no words is itself
    return int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "big")


def spread(texts: Iterable[str]) -> Spread:
    """Of the first `MAX_WORDS` words; no n-gram reaches from one text into the next."""
    lists, seen, number = [], [], 0
    for text in texts:
        lists.append(words(text)[: MAX_WORDS - number])
        number += len(lists[-1])
        seen.append(text)
        if number >= MAX_WORDS:
            break
    grams = [Counter(gram for one in lists for gram in zip(*(one[at:] for at in range(order)), strict=False)) for order in ORDERS]
    one, two, three = ((_distinct(counts), _entropy_bits(counts)) for counts in grams)
    raw = "\n".join(seen).encode()
    return Spread(
        number, (one[0], two[0], three[0]), (one[1], two[1], three[1]), len(raw) / len(zlib.compress(raw, 6)) if raw else 0.0
    )


def _distinct(counts: Counter[tuple[str, ...]]) -> float:
    return len(counts) / counts.total() if counts else 0.0


def _entropy_bits(counts: Counter[tuple[str, ...]]) -> float:
    total = counts.total()
    return math.fsum(-count / total * math.log2(count / total) for count in counts.values()) + 0.0
