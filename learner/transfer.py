"""The matrix of forgetting: what each accepted version is worth on every cycle's held-out votes, and what sums it up.

R[i][j] is the margin of the version that cycle i made live on slice j, the held-out votes that cycle j used up: the mean
log-prob per token of its liked answers minus that of its disliked ones, in nats. Row 0 is base.
As in Lopez-Paz and Ranzato 2017 (GEM, arXiv 1706.08840), over the accepted cycles 1..T:

    average  = mean of R[T][j]
    backward = mean over j < T of R[T][j] - R[j][j]       what later cycles added to earlier slices, or took from them
    forward  = mean over j > 1 of R[j-1][j] - R[0][j]     what a version is worth on votes that it has not met yet
    learnt   = mean of R[j][j] - R[j-1][j]                what each cycle gained on its own slice

Versions are seldom scored on all of a slice: a dataset recalls the newest held-out votes of earlier cycles only. So every
difference is taken over the votes that both versions were scored on, and what was never scored stays missing and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec import Struct

BASE_CYCLE = 0  # the row of base


class Version(Struct, frozen=True):
    """What one cycle made live, and the mean log-prob per token that it gives to voted answers, by message."""

    cycle: int
    adapter: str
    logps: Mapping[str, float]


class Slice(Struct, frozen=True):
    """The held-out votes of one cycle: message → +1 or -1."""

    cycle: int
    labels: Mapping[str, int]


class Cell(Struct, frozen=True):
    """A version's margin on a slice, in nats per token, and on how many of its votes that is."""

    margin: float
    votes: int


class Line(Struct, frozen=True):
    """A version's cells, one for each slice; None where it has no score on both a liked and a disliked answer."""

    cycle: int
    adapter: str
    cells: tuple[Cell | None, ...]


class Mean(Struct, frozen=True):
    """A mean of `terms`; as many as `missing` are not in it, since they were not scored. `value` is None without any term."""

    value: float | None
    terms: int
    missing: int


class Transfer(Struct, frozen=True):
    """`slices` are the cycles behind the columns, `votes` their sizes; `lines` begin with base.

    `kept` is the share of what was learnt before the last cycle that its version still has, 1 + backward / learnt over the
    same slices; None where nothing was gained.
    """

    slices: tuple[int, ...]
    votes: tuple[int, ...]
    lines: tuple[Line, ...]
    average: Mean
    learnt: Mean
    backward: Mean
    forward: Mean
    kept: float | None


def measure(versions: Sequence[Version], slices: Sequence[Slice]) -> Transfer:
    """The matrix. `versions` begin with base and are in the order in which they went live; slices are in that of cycles."""
    base, *accepted = versions
    own = {part.cycle: part for part in slices}
    tasks = [(number, own[version.cycle]) for number, version in enumerate(versions) if number and version.cycle in own]
    last = versions[-1]
    gained = [_change(part, versions[number], versions[number - 1]) for number, part in tasks]
    since = [_change(part, last, versions[number]) for number, part in tasks if versions[number] is not last]
    ahead = [_change(part, versions[number - 1], base) for number, part in tasks if number > 1]
    worth = [cell.margin if (cell := _cell(part, last)) else None for _, part in tasks] if accepted else []
    return Transfer(
        slices=tuple(part.cycle for part in slices),
        votes=tuple(len(part.labels) for part in slices),
        lines=tuple(Line(version.cycle, version.adapter, tuple(_cell(part, version) for part in slices)) for version in versions),
        average=_mean(worth),
        learnt=_mean(gained),
        backward=_mean(since),
        forward=_mean(ahead),
        kept=_kept(gained, since),
    )


def margin(labels: Mapping[str, int], logps: Mapping[str, float], among: Set[str]) -> float | None:
    """Mean of liked minus mean of disliked, over these messages; None unless there are some of both."""
    liked, disliked = ([logps[id] for id in among if labels[id] * sign > 0] for sign in (1, -1))
    if not (liked and disliked):
        return None
    return math.fsum(liked) / len(liked) - math.fsum(disliked) / len(disliked)


def _cell(part: Slice, version: Version) -> Cell | None:
    scored = part.labels.keys() & version.logps.keys()
    found = margin(part.labels, version.logps, scored)
    return None if found is None else Cell(found, len(scored))


def _change(part: Slice, after: Version, before: Version) -> float | None:
    """How much more the one version has than the other, over the slice's votes that both were scored on."""
    shared = part.labels.keys() & after.logps.keys() & before.logps.keys()
    has, had = (margin(part.labels, version.logps, shared) for version in (after, before))
    return None if has is None or had is None else has - had


def _mean(terms: Iterable[float | None]) -> Mean:
    given = list(terms)
    there = [term for term in given if term is not None]
    return Mean(math.fsum(there) / len(there) if there else None, len(there), len(given) - len(there))


def _kept(gained: Sequence[float | None], since: Sequence[float | None]) -> float | None:
    pairs = [(gain, later) for gain, later in zip(gained, since, strict=False) if gain is not None and later is not None]
    whole = math.fsum(gain for gain, _ in pairs)
    return 1 + math.fsum(later for _, later in pairs) / whole if whole > 0 else None
