"""How much of each domain belongs in a mixture, so that a large one does not drown a small one."""

from __future__ import annotations

import math
from collections.abc import Mapping


def mixing_weights(counts: Mapping[str, int], temperature: float, given: Mapping[str, float]) -> dict[str, float]:
    """Each domain's share of the mixture; the shares add up to one.

    By size, p ∝ n^(1/T), as mT5 draws its languages (arXiv 2010.11934, whose exponent is 1/T): 1 keeps the sizes, more is flatter.
    A domain of `given` has the share that is given there, and the others divide what is left; where none is left over to
    do so, what is given is scaled to one. ValueError for a share or a temperature that makes no sense.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the mixing temperature is {temperature:g}, expected a number above 0")
    if bad := {domain: share for domain, share in given.items() if not 0 <= share <= 1}:
        raise ValueError(f"mixing gives {bad}, expected a share from 0 to 1 for each domain")
    present = {domain: count for domain, count in counts.items() if count > 0}
    fixed = {domain: given[domain] for domain in present if domain in given}
    total = math.fsum(fixed.values())
    if total > 1 + 1e-9:
        raise ValueError(f"mixing gives {total:g} of the mixture away, expected 1 at most")
    sizes = {domain: count ** (1 / temperature) for domain, count in present.items() if domain not in fixed}
    if not sizes:
        return {domain: share / total if total else 1 / len(fixed) for domain, share in fixed.items()}
    left, size = max(1 - total, 0.0), math.fsum(sizes.values())
    return {domain: fixed[domain] if domain in fixed else left * sizes[domain] / size for domain in present}
