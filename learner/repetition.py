"""How much of an answer says something new."""

from __future__ import annotations

from collections.abc import Sequence

NGRAM = 3  # tokens: natural text hardly repeats three in a row


def distinct(tokens: Sequence[int]) -> float:
    """Distinct trigrams as a share of all (distinct-n of Li et al. 2016, arXiv 1510.03055); 1 for an answer too short for two."""
    grams = [tuple(tokens[at : at + NGRAM]) for at in range(len(tokens) - NGRAM + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0
