"""What many measurements come to: the middle one and the largest."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from msgspec import Struct


class Spread(Struct, frozen=True):
    p50: float
    max: float


def spread(values: Iterable[float]) -> Spread:
    """Of one value or more; ValueError for none."""
    found = list(values)
    if not found:
        raise ValueError("there is nothing to take the middle of: expected one measurement or more")
    return Spread(median(found), max(found))
