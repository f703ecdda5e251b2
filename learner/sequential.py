"""Two versions compared by the people who used them, as often as one likes: bounds that hold at every look at once.

A person counts once, by the share of their own votes (or answers) that were so: people are what is assigned at random, and
one who votes a hundred times is still one opinion. The bounds are an asymptotic confidence sequence for the difference of
two means (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv 2103.06476), one-sided, with Robbins' normal mixture as its
boundary (Howard, Ramdas, McAuliffe and Sekhon, arXiv 1810.08240). Its time is information, one over the variance of the
difference: estimates of growing information move like a random walk in it, whatever share of people each version has and
whenever that share changes (Jennison and Turnbull 1997). That a person's share moves as they vote on is beyond the theory,
as are few people; learner/canary_simulation.py shows that the bounds hold nevertheless.

Few people prove nothing by being of one mind: each version gets one imagined person who likes everything and one who likes
nothing (Agresti and Caffo 2000), so that a variance is never zero.

Functions take floats, or arrays of one shape that hold many comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct
from scipy import special

Numbers = Any  # a float, or an array of floats


class Bounds(Struct, frozen=True):
    """A difference, and what it is at least and at most. A bound is wrong at any look ever with the chance asked for."""

    delta: float
    lower: float
    upper: float


def bound_difference(first: Sequence[float], second: Sequence[float], below: float, above: float, precision: float) -> Bounds:
    """How much more the mean of people's shares is among the first than among the second.

    `below` and `above` are the chances that the lower and the upper bound are ever wrong; `precision` is the standard error
    at which the bounds shall be tightest.
    """
    delta, variance = estimate_difference(_sums(first), _sums(second))
    lower, upper = (radius(variance, error, precision) for error in (below, above))
    return Bounds(float(delta), float(delta - lower), float(delta + upper))


def estimate_difference(
    first: tuple[Numbers, Numbers, Numbers], second: tuple[Numbers, Numbers, Numbers]
) -> tuple[Numbers, Numbers]:
    """The difference of two means and its variance, from (people, sum of their shares, sum of the squares of these) of each."""
    (mean, variance), (other_mean, other_variance) = _estimate_mean(*first), _estimate_mean(*second)
    return mean - other_mean, variance + other_variance


def radius(variance: Numbers, error: float, precision: float) -> Numbers:
    """How far a one-sided bound is from an estimate of this variance, if it shall ever be wrong with chance `error` only."""
    information, prior = 1 / variance, _tune(error, precision)
    grown = 1 + information / prior
    return np.sqrt(2 * grown * prior * np.log1p(np.sqrt(grown) / (2 * error))) / information


@cache
def _tune(error: float, precision: float) -> float:
    """The mixture's own information, for the boundary to be tightest at that precision (Howard et al., proposition 3)."""
    return float(1 / precision**2 / (-special.lambertw(-((2 * error) ** 2) / math.e, -1).real - 1))


def _sums(shares: Sequence[float]) -> tuple[float, float, float]:
    return len(shares), math.fsum(shares), math.fsum(share * share for share in shares)


def _estimate_mean(people: Numbers, total: Numbers, squares: Numbers) -> tuple[Numbers, Numbers]:
    """The mean and its variance, with the two imagined people."""
    mean = (total + 1) / (people + 2)
    return mean, ((squares + 1) / (people + 2) - mean * mean) / (people + 2)
