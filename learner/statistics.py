"""Estimates from things that come in groups, which may rise and fall together, and what they prove.

All errors are delete-one-group jackknives (Efron 1982): the estimate is made again without each group in turn. Where every
group is one thing, that is the usual standard error of a mean. The clustered formula that is common elsewhere gives nothing
for a group that has all things of a kind. Exchanging one person's likes and dislikes would prove more from few people, but
only that nothing at all is related, not that nothing is better on the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy import special  # not `stats`: every start of a service would wait for its import

Name = TypeVar("Name")
Floats = NDArray[np.float64]
LIKELY = 0.1  # higher, and rows of much the same candidate, judged by ever more of the same votes, find too often


class Estimate(Struct, frozen=True):
    """A value with its standard error, by so many groups. Bounds and tests use Student's t with one degree fewer."""

    value: float
    error: float
    groups: int

    def lower_bound(self, alpha: float) -> float:
        """Below the truth but for one-sided chance `alpha`; -inf where there is one group."""
        if self.groups < 2:
            return -math.inf
        return self.value - float(special.stdtrit(self.groups - 1, 1 - alpha)) * self.error

    def p_above_zero(self) -> float:
        """The chance of a value so high where the truth is no gain: small where a gain is proved."""
        return Estimate(-self.value, self.error, self.groups).p_below_zero()

    def p_below_zero(self) -> float:
        """The chance of a value so low where the truth is no loss: small where a loss is proved."""
        if self.groups < 2:
            return 1.0
        if self.error == 0:
            return 0.0 if self.value < 0 else 1.0
        return float(special.stdtr(self.groups - 1, self.value / self.error))


def estimate_mean(values: Sequence[float], groups: Sequence[str]) -> Estimate:
    """The mean of the values, each of which belongs to a group."""
    known = {name: number for number, name in enumerate(sorted(set(groups)))}
    mean, count = math.fsum(values) / len(values), len(known)
    if count < 2:
        return Estimate(mean, 0.0, count)
    number_N = np.array([known[name] for name in groups], np.int64)
    sum_G, size_G = np.bincount(number_N, weights=np.asarray(values, float)), np.bincount(number_N)
    without_G = (sum_G.sum() - sum_G) / (size_G.sum() - size_G)
    variance = (count - 1) / count * math.fsum((without_G - mean) ** 2)
    return Estimate(mean, math.sqrt(variance), count)


def reject_holm(p_values: Mapping[Name, float], alpha: float) -> set[Name]:
    """Which null hypotheses fall, so that the chance of one wrong among them is at most `alpha` (Holm 1979)."""
    fallen: set[Name] = set()
    for left, name in zip(range(len(p_values), 0, -1), sorted(p_values, key=lambda name: p_values[name]), strict=True):
        if p_values[name] > alpha / left:
            break
        fallen.add(name)
    return fallen


def p_more_lost(won: int, lost: int) -> float:
    """The chance of so many items turning from right to wrong, out of all that turned, were both as likely.

    McNemar's test, exact and one-sided (Fagerland, Lydersen and Laake 2013).
    """
    return float(special.bdtrc(lost - 1, won + lost, 0.5)) if lost else 1.0


def share_interval(hits: int, trials: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson 1934)."""
    missed = trials - hits
    low = float(special.betaincinv(hits, missed + 1, 0.025)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, missed, 0.975)) if missed else 1.0
    return low, high


def share_bound(hits: int, trials: int, confidence: float) -> float:
    """The one-sided lower bound of a share (Wilson 1927); 0 of no trials."""
    if not trials:
        return 0.0
    share, z = hits / trials, float(special.ndtri(confidence))
    error = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    return max(0.0, (share + z**2 / (2 * trials) - error) / (1 + z**2 / trials))


class Tried(NamedTuple):
    """A test of a row: the chance of what it saw where nothing is to be found, and whether that counted as a find."""

    p_value: float
    found: bool


def spend(tried: Sequence[Tried], error: float) -> float:
    """The one-sided error that the next of a row of tests may have, after these.

    SAFFRON (Ramdas, Zrnic, Wainwright and Jordan 2018, arXiv 1802.09098), which begins with all of `error`: of what is found,
    a share of at most `error` is expected to be false, however long the row; and as long as there is nothing to find, so is
    the chance of finding any. Each find but the first earns what the next tests may spend. A test that came as near as
    `LIKELY` costs nothing: few do where nothing is to be found, and what they may spend is less by that from the start.
    """
    costs = [one.p_value > LIKELY for one in tried]
    finds = [place for place, one in enumerate(tried, 1) if one.found]
    return (1 - LIKELY) * error * (_share(1 + sum(costs)) + sum(_share(1 + sum(costs[place:])) for place in finds[1:]))


def _share(number: int) -> float:
    """Of a wealth, what its n-th test gets: a falling row that adds up to 1."""
    return 6 / (math.pi * number) ** 2
