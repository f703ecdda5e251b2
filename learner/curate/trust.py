"""Raters: how far a person's votes are to be believed, by how they agree with others and with operators.

The idea is Dawid & Skene's (1979): a rater is known by how often they like what the others like, and dislike what the
others dislike; somebody who always says the same tells nothing, however often they are right. Both rates are shrunk to
everybody's by a Beta prior whose mean is estimated from all raters (empirical Bayes), so that a few votes change little.
Their sum less one (Youden's J) is 1 for somebody who is always right and 0 for a coin; the weight is its share of what
everybody has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from learner.config import TrustSettings
from learner.curate.content import Cluster
from learner.curate.dedupe import cluster as near_duplicates
from learner.curate.example import Example, Sifted, drop

MANY_ALIKE = 8  # votes, all up or all down, from which that says something
BOUNDS = (0.7, 0.95)  # of everybody's mean rates: below, nobody could be told from a coin


class Standing(Struct, frozen=True):
    """Why a rater has their weight. Agreement is on nearly the same answers to nearly the same questions."""

    person_id: str
    votes: int
    agreements: int  # with most of the other people
    disagreements: int
    operator_agreements: int
    operator_disagreements: int
    all_alike: bool  # all of many votes are the same way
    liking: float  # estimated share of what others like that this person likes
    disliking: float  # and of what others dislike that this person dislikes
    weight: float

    @property
    def formula(self) -> str:
        """How the weight came about, in words."""
        told = f"likes {self.liking:.0%} of what others like and dislikes {self.disliking:.0%} of what they dislike, after "
        told += f"{self.agreements} agreements and {self.disagreements} disagreements with others, "
        told += f"{self.operator_agreements} and {self.operator_disagreements} with operators"
        if self.all_alike:
            told += f"; all {self.votes} votes are the same way"
        return f"{told}: weight {self.weight:.2f} = (both shares - 1) / (the same of everybody), within bounds"


class _Record:
    """Votes of one person on what others like (`True`) or dislike (`False`): [agreed, all]."""

    def __init__(self) -> None:
        self.seen = {True: [0.0, 0.0], False: [0.0, 0.0]}
        self.agreed = self.disagreed = self.operator_agreed = self.operator_disagreed = 0

    def note(self, liked: bool, agrees: bool, worth: float = 1.0) -> None:
        self.seen[liked][0] += worth * agrees
        self.seen[liked][1] += worth


def judge_raters(
    examples: Sequence[Example],
    settings: TrustSettings,
    labels: Mapping[str, bool] | None = None,
    cluster: Cluster = near_duplicates,
) -> dict[str, Standing]:
    """The standing of every person among the examples.

    `labels` are what operators say of answers by message id: whether a vote on it was right in liking it.
    """
    labels = labels or {}
    voted = [example for example in examples if example.thumb is not None]
    numbers = cluster([f"{example.question}\n{example.answer}" for example in voted])
    opinions: defaultdict[int, dict[str, bool]] = defaultdict(dict)  # of each person once, the last one
    truths: dict[int, bool] = {}
    for example, number in zip(voted, numbers, strict=True):
        opinions[number][example.person_id] = example.thumb == "up"
        if example.id in labels:
            truths[number] = labels[example.id]
    records: defaultdict[str, _Record] = defaultdict(_Record)
    for number, said in opinions.items():
        _compare(records, said, truths.get(number), settings.operator_votes)
    means = {liked: _mean(records, liked) for liked in (True, False)}
    ups = sum(example.thumb == "up" for example in voted) / max(len(voted), 1)
    votes: defaultdict[str, list[bool]] = defaultdict(list)
    for example in voted:
        votes[example.person_id].append(example.thumb == "up")
    people = dict.fromkeys(example.person_id for example in examples)
    return {person: _stand(person, votes[person], records[person], means, ups, settings) for person in people}


def weigh(examples: Sequence[Example], standings: Mapping[str, Standing]) -> Sifted:
    """Gives each example the weight of its rater, and notes it where it changes anything."""
    return Sifted([_weigh(example, standings[example.person_id].weight) for example in examples], [])


def hold_new(examples: Sequence[Example], created_at_s: Mapping[str, float], now_s: float, settings: TrustSettings) -> Sifted:
    """Holds back what people say whose accounts are younger than the wait; also of people of whom that is not known."""
    reason = f"new here: waits {settings.new_person_wait_s / 3600:g} h"
    sifted = Sifted([], [])
    for example in examples:
        if now_s - created_at_s.get(example.person_id, now_s) < settings.new_person_wait_s:
            sifted.dropped.append(drop(example, reason, held=True))
        else:
            sifted.kept.append(example)
    return sifted


def _compare(records: defaultdict[str, _Record], said: Mapping[str, bool], truth: bool | None, operator_votes: float) -> None:
    """Each person's opinion of one answer against that of most others, and against the operator's."""
    likes = sum(said.values())
    for person, liked in said.items():
        record = records[person]
        if truth is not None:
            record.note(truth, liked == truth, operator_votes)
            record.operator_agreed += liked == truth
            record.operator_disagreed += liked != truth
        others, for_it = len(said) - 1, likes - liked
        if 2 * for_it != others:  # most others agree among themselves
            most = 2 * for_it > others
            record.note(most, liked == most)
            record.agreed += liked == most
            record.disagreed += liked != most


def _mean(records: Mapping[str, _Record], liked: bool) -> float:
    """Everybody's rate, each person counted once, so that nobody sets it by voting much."""
    rates = [record.seen[liked][0] / record.seen[liked][1] for record in records.values() if record.seen[liked][1]]
    low, high = BOUNDS
    return min(max(sum(rates) / len(rates), low), high) if rates else (low + high) / 2


def _stand(
    person: str, votes: Sequence[bool], record: _Record, means: Mapping[bool, float], ups: float, settings: TrustSettings
) -> Standing:
    all_alike = len(votes) >= MANY_ALIKE and len(set(votes)) == 1
    if all_alike:  # as many as others vote the other way were missed
        other = not votes[0]
        record.note(other, False, len(votes) * (ups if other else 1 - ups))
    rates = {}
    for liked, (agreed, seen) in record.seen.items():
        rates[liked] = (settings.prior_votes * means[liked] + agreed) / (settings.prior_votes + seen)
    usual = means[True] + means[False] - 1
    weight = min(max((rates[True] + rates[False] - 1) / usual, settings.least_weight), 1.0)
    return Standing(
        person_id=person,
        votes=len(votes),
        agreements=record.agreed,
        disagreements=record.disagreed,
        operator_agreements=record.operator_agreed,
        operator_disagreements=record.operator_disagreed,
        all_alike=all_alike,
        liking=rates[True],
        disliking=rates[False],
        weight=weight,
    )


def _weigh(example: Example, weight: float) -> Example:
    if weight == 1.0:
        return example
    told = (*example.transformations, f"rater weight {weight:.2f}")
    return msgspec.structs.replace(example, weight=example.weight * weight, transformations=told)
