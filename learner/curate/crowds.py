"""Crowds and bursts: many accounts that are one person, and votes faster than anybody reads.

Honest people ask the same popular questions and get the same answers, so sharing is no proof. A crowd is a group of
accounts that look alike, by most of their votes or by what each of them says over and over, and that two more signals
give away: nobody else says it, the accounts were made together, they vote in step, or they repeat themselves. What is
true of everybody else as well is no signal.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

from msgspec import Struct
from scipy import special

from learner.config import TrustSettings
from learner.curate.content import Cluster, alike, content
from learner.curate.example import Example, Sifted, drop

FEW_TERMS = 4  # content words of an answer below which it is only told apart together with its question
MOST = 0.8  # of a group that must show a signal
HALF = 0.5  # of all others, above which they show it too
MINORITY = 0.25  # of all people; a larger group has its words to itself by being many
TWICE = 2  # times that accounts of a group say the same, on average
REPEATED = 3  # times that one account says the same
SHARED = 3  # different things that accounts of a small group have in common, and nobody else
SIGNALS = 2
BURST_VOTES = (12, 48)  # in a row, whose time is looked at
LEAST_TIME_S = 1.0
BURST = "a burst of votes"


class Crowd(Struct, frozen=True):
    """Accounts taken for one person."""

    name: str
    people: frozenset[str]
    signals: tuple[str, ...]


class _World:
    """Who said what and when: `rows[person][cluster]` are the times of a person's votes on nearly the same."""

    def __init__(self, examples: Sequence[Example], created_at_s: Mapping[str, float], cluster: Cluster) -> None:
        self.created_at_s = created_at_s
        self.rows: defaultdict[str, defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.people_of: defaultdict[int, set[str]] = defaultdict(set)
        for example, number in zip(examples, cluster([_text(example) for example in examples]), strict=True):
            self.rows[example.person_id][number].append(example.said_at_s)
            self.people_of[number].add(example.person_id)


def find_crowds(
    examples: Sequence[Example], created_at_s: Mapping[str, float], settings: TrustSettings, cluster: Cluster = alike
) -> list[Crowd]:
    """The crowds among the people of the examples; `created_at_s` is when each person's account was made.

    To be asked before other steps take examples out, since those are what gives a crowd away.
    """
    world = _World(examples, created_at_s, cluster)
    crowds: list[Crowd] = []
    for group in _groups(world, settings):
        group = group.difference(*(crowd.people for crowd in crowds))
        signals = _signals(world, group, settings)
        if len(group) >= settings.crowd_people and len(signals) >= SIGNALS:
            name = hashlib.sha256(" ".join(sorted(group)).encode()).hexdigest()[:8]
            crowds.append(Crowd(f"crowd:{name}", frozenset(group), signals))
    return crowds


def crowd_of(crowds: Iterable[Crowd]) -> dict[str, str]:
    """The crowd's name of each person who is in one."""
    return {person: crowd.name for crowd in crowds for person in crowd.people}


def sift(examples: Sequence[Example], crowds: Sequence[Crowd]) -> Sifted:
    """Holds back all that people of a crowd said."""
    found = {person: crowd for crowd in crowds for person in crowd.people}
    sifted = Sifted([], [])
    for example in examples:
        if (crowd := found.get(example.person_id)) is None:
            sifted.kept.append(example)
        else:
            reason = f"looks like one crowd of {len(crowd.people)} accounts"
            sifted.dropped.append(drop(example, reason, held=True, cluster=crowd.name))
    return sifted


def sift_bursts(examples: Sequence[Example], settings: TrustSettings) -> Sifted:
    """Holds back votes of one person that came more quickly than chance gives (a Poisson process of the rate of people who
    read, or of the others' median rate where that is higher)."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for example in examples:
        times[example.person_id].append(example.said_at_s)
    peaks = {person: _peak(sorted(said)) for person, said in times.items() if len(said) >= BURST_VOTES[0]}
    hurried: dict[str, list[tuple[float, float]]] = {}
    for person in peaks:
        others = sorted(peak for other, peak in peaks.items() if other != person)
        usual = max(settings.votes_per_minute / 60, others[len(others) // 2] if others else 0.0)
        hurried[person] = _bursts(sorted(times[person]), usual, settings.burst_chance)
    sifted = Sifted([], [])
    for example in examples:
        if any(first <= example.said_at_s <= last for first, last in hurried.get(example.person_id, ())):
            name = hashlib.sha256(example.person_id.encode()).hexdigest()[:8]
            sifted.dropped.append(drop(example, BURST, held=True, cluster=f"burst:{name}"))
        else:
            sifted.kept.append(example)
    return sifted


def _text(example: Example) -> str:
    taught = example.correction or example.answer
    return taught if len(content(taught)) >= FEW_TERMS else f"{example.question}\n{taught}"


def _groups(world: _World, settings: TrustSettings) -> list[set[str]]:
    """Accounts that say one thing over and over, and accounts that vote on mostly the same as one another."""
    sharing: Counter[tuple[str, str]] = Counter()
    for people in world.people_of.values():
        sharing.update(combinations(sorted(people), 2))
    similar = {
        (one, other)
        for (one, other), shared in sharing.items()
        if shared >= settings.crowd_share * len(world.rows[one].keys() | world.rows[other].keys())
    }
    insisting = [
        {person for person in people if len(world.rows[person][number]) >= REPEATED} for number, people in world.people_of.items()
    ]
    return [*sorted(filter(None, insisting), key=len, reverse=True), *_connect(similar)]


def _connect(pairs: Iterable[tuple[str, str]]) -> list[set[str]]:
    linked: defaultdict[str, set[str]] = defaultdict(set)
    for one, other in pairs:
        linked[one].add(other)
        linked[other].add(one)
    groups: list[set[str]] = []
    seen: set[str] = set()
    for person in sorted(linked):
        group, waiting = set(), [person]
        while waiting:
            if (found := waiting.pop()) not in seen:
                seen.add(found)
                group.add(found)
                waiting.extend(linked[found])
        if group:
            groups.append(group)
    return groups


def _signals(world: _World, group: Collection[str], settings: TrustSettings) -> tuple[str, ...]:
    everybody = world.rows.keys()
    inside = {number: people & set(group) for number, people in world.people_of.items()}
    shared = [number for number, people in inside.items() if len(people) >= max(2, MOST * len(group))]
    private = [number for number in shared if len(world.people_of[number]) <= len(inside[number]) / MOST]
    signals = []
    if private and len(group) <= max(MINORITY * len(everybody), settings.crowd_people):
        signals.append("nobody else says it")
        if len(private) >= SHARED:
            signals.append("they have much in common")
    if any(sum(len(world.rows[person][number]) for person in inside[number]) >= TWICE * len(inside[number]) for number in shared):
        signals.append("they repeat themselves")
    made = [world.created_at_s[person] for person in group if person in world.created_at_s]
    others_made = [world.created_at_s[person] for person in everybody if person not in group and person in world.created_at_s]
    if len(made) >= MOST * len(group) and _is_together(made, others_made, settings.crowd_window_s):
        signals.append("the accounts were made together")
    voted = [min(world.rows[person][number]) for person in group for number in shared if number in world.rows[person]]
    others_voted = [at_s for person in everybody if person not in group for said in world.rows[person].values() for at_s in said]
    if _is_together(voted, others_voted, settings.step_window_s):
        signals.append("they vote in step")
    return tuple(signals)


def _is_together(times: Sequence[float], others: Sequence[float], window_s: float) -> bool:
    """Whether most are within one window, and not most of the others too."""
    ordered = sorted(times)
    need = max(2, round(MOST * len(ordered)))
    spans = [(ordered[at + need - 1] - first, first) for at, first in enumerate(ordered[: len(ordered) - need + 1])]
    if not spans or min(spans)[0] > window_s:
        return False
    first = min(spans)[1]
    return sum(first - window_s <= at_s <= first + window_s for at_s in others) <= HALF * len(others)


def _peak(times: Sequence[float]) -> float:
    """The highest rate, in votes per second, of so many in a row."""
    votes = BURST_VOTES[0]
    return max((votes - 1) / max(times[at + votes - 1] - times[at], LEAST_TIME_S) for at in range(len(times) - votes + 1))


def _bursts(times: Sequence[float], rate: float, chance: float) -> list[tuple[float, float]]:
    found = []
    for votes in BURST_VOTES:
        for at in range(len(times) - votes + 1):
            first, last = times[at], times[at + votes - 1]
            if special.pdtrc(votes - 2, rate * max(last - first, LEAST_TIME_S)) < chance:
                found.append((first, last))
    return found
