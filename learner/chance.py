"""Chance that is the same each time: who or what falls on which side, decided by a hash instead of by a coin."""

from __future__ import annotations

import hashlib

BITS = 53  # as many as a float holds exactly


def fraction_of(text: str) -> float:
    """A number in [0, 1), spread evenly over texts and always the same for one.

    What is decided for different ends needs different texts, such as "validation/ID": people who are on the same side of one
    decision would otherwise be together in the next.
    """
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 64 - BITS) / (1 << BITS)
