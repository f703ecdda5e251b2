"""Candidates of a known kind, drawn from measured scores: families of items and people are drawn again with replacement.

The cluster bootstrap (Davison and Hinkley 1997, 3.8) keeps how items of a family and votes of a person hang together, and
how far real training moves them; taking off the mean change, and adding a chosen one, makes the truth known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace
from numpy.random import Generator
from numpy.typing import NDArray

from learner.gate import SuiteScores, VoteScore
from learner.selftest.measured import MeasuredSuite, MeasuredVote, Pair
from learner.statistics import Estimate, estimate_mean

Floats = NDArray[np.float64]


def draw_suite(suite: MeasuredSuite, chance: Generator, change: float | None) -> SuiteScores:
    """A suite as large as this one, on which the candidate truly changes by `change`; as measured where None."""
    live_N, candidate_N, base_N = (np.array(scores) for scores in (suite.live, suite.candidate, suite.base))
    if change is not None:
        candidate_N = candidate_N - np.mean(candidate_N - live_N) + change
        base_N = base_N - np.mean(base_N - live_N)  # what earlier cycles lost is no part of this candidate's truth
    members: defaultdict[str, list[int]] = defaultdict(list)
    for number, family in enumerate(suite.families):
        members[family].append(number)
    families = list(members.values())
    drawn = [families[number] for number in chance.integers(len(families), size=len(families))]
    places = [place for family in drawn for place in family]
    names = tuple(str(number) for number in range(len(places)))
    live, candidate, base = (dict(zip(names, scores_N[places].tolist(), strict=True)) for scores_N in (live_N, candidate_N, base_N))
    numbered = tuple(str(number) for number, family in enumerate(drawn) for _ in family)
    return SuiteScores(suite.name, "", suite.margin, suite.veto, names, live, candidate, base, numbered)


People = list[list[MeasuredVote]]  # the votes of each


def people_of(pairs: Sequence[Pair], unmoved: bool) -> People:
    """Everybody who votes in these pairs; `unmoved`, with no gain on average in any of them."""
    found: People = []
    for pair in pairs:
        of_person: defaultdict[int, list[MeasuredVote]] = defaultdict(list)
        taken_off = float(np.mean([vote.gain for vote in pair.votes])) if unmoved else 0.0
        for vote in pair.votes:
            of_person[vote.person].append(replace(vote, gain=vote.gain - taken_off))
        found += of_person.values()
    return found


def draw_votes(people: People, count: int, chance: Generator, gain: float = 0.0) -> list[VoteScore]:
    """The votes of so many people, of whom each vote says so much more of a gain than it does as measured.

    Drawn anew until there are votes of both kinds, as there are in whatever a cycle judges.
    """
    while True:
        drawn = [people[number] for number in chance.integers(len(people), size=count)]
        made = [
            VoteScore(f"{person}-{number}", str(person), vote.label, vote.gain + gain)
            for person, own in enumerate(drawn)
            for number, vote in enumerate(own)
        ]
        if len({vote.label for vote in made}) == 2:
            return made


def estimate_gain(votes: Sequence[MeasuredVote]) -> Estimate:
    """What the votes say together, with the error that a cycle with such votes has."""
    return estimate_mean([vote.gain for vote in votes], [str(vote.person) for vote in votes])
