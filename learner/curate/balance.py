"""How much each example counts beside the others: rarer kinds of votes more, old ones less; and how much evidence that is.

Factors are rounded before they are applied, so that a dataset comes out the same wherever it is built.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from learner.curate.example import Example

MAX_RATIO = 4.0  # between the weights of the rarest and the most frequent class
MIN_AGE_FACTOR = 0.01  # of the oldest: what was worth keeping is worth something


def vote(example: Example) -> str | None:
    """The class of an example for balance: its thumb. A correction alone is its own argument and stays as it is."""
    return example.thumb


def balance(
    examples: Sequence[Example], of: Callable[[Example], str | None] = vote, name: str = "vote", max_ratio: float = MAX_RATIO
) -> list[Example]:
    """The examples, those of rarer classes weighing more; the total weight stays, and None is no class.

    A class of n examples (by weight) counts as the effective number (1 - b^n) / (1 - b), with b = (N - 1) / N over all N
    (Cui et al. 2019, arXiv 1901.05555), and its examples weigh in inverse proportion to it: near 1 / n for rare classes, and
    flatter for frequent ones. No class weighs more than `max_ratio` times as much as another.
    """
    totals: dict[str, float] = defaultdict(float)
    for example in examples:
        if (key := of(example)) is not None:
            totals[key] += example.weight
    present = {key: total for key, total in totals.items() if total > 0}
    if len(present) < 2:
        return list(examples)
    everything = math.fsum(present.values())
    shrink = math.log1p(-1 / max(everything, 2.0))  # log b
    inverse = {key: 1 / -math.expm1(total * shrink) for key, total in present.items()}
    floor = min(inverse.values())
    bounded = {key: min(value, floor * max_ratio) for key, value in inverse.items()}
    scale = everything / math.fsum(bounded[key] * total for key, total in present.items())
    factors = {key: round(value * scale, 3) for key, value in bounded.items()}
    return [_times(example, factors.get(of(example) or "", 1.0), f"{name} balance") for example in examples]


def decay(examples: Sequence[Example], now_s: float, half_life_s: float) -> list[Example]:
    """The examples, each worth half as much for every half-life since it was last spoken of; 0 takes nothing off.

    `now_s` is the cycle's own time, not the clock's, so that a cycle that is run again gives the same weights.
    """
    if half_life_s < 0 or not math.isfinite(half_life_s):
        raise ValueError(f"the half-life is {half_life_s} s, expected 0 or more")
    if half_life_s == 0:
        return list(examples)
    return [_times(example, _age_factor(now_s - example.said_at_s, half_life_s), "age") for example in examples]


def _age_factor(age_s: float, half_life_s: float) -> float:
    return max(MIN_AGE_FACTOR, round(math.exp2(-max(0.0, age_s) / half_life_s), 3))


def _times(example: Example, factor: float, why: str) -> Example:
    if factor == 1.0:
        return example
    weight = round(example.weight * factor, 6)
    return replace(example, weight=weight, transformations=(*example.transformations, f"{why} ×{factor:g}"))


def effective_size(weights: Sequence[float], person_ids: Sequence[str], rho: float = 0.1) -> float:
    """How many independent votes of equal weight these are worth.

    Kish's effective sample size for unequal weights, (Σw)² / Σw² (Kish 1965), over the design effect of votes that come
    in clusters, 1 + (b - 1) rho with b = Σ_person (Σw)² / Σw² (Kish 1987; Gabler, Häder & Lahiri 1999). `rho` is how alike
    one person's votes are: 0 is not at all; at 1 each person counts once, whatever they said.
    """
    total = math.fsum(weights)
    squares = math.fsum(weight * weight for weight in weights)
    if squares == 0:
        return 0.0
    of_person: dict[str, float] = defaultdict(float)
    for weight, person in zip(weights, person_ids, strict=True):
        of_person[person] += weight
    cluster = math.fsum(weight * weight for weight in of_person.values()) / squares
    return total * total / squares / (1 + (cluster - 1) * rho)
