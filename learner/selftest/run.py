"""`ratchet gate selftest`: how often the gate is wrong, by candidates of which the truth is known.

| planted  | truth                                                          | the gate is wrong when it |
|----------|----------------------------------------------------------------|---------------------------|
| null     | nothing changed but by chance, in cycle after cycle            | promotes                  |
| degraded | much better for people, one suite down by twice its margin     | promotes                  |
| hollow   | over-optimised on votes, as measured                           | promotes                  |
| tampered | much better, but the evaluation is not what it should be       | promotes                  |
| better   | gains twice what the votes there are can detect, loses nothing | does not promote          |

Each is judged by the gate's own `decide`, and beside it by the plain rule that a mean which beats the mean goes live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.random import Generator
from scipy import stats

from learner.config import GateSettings
from learner.gate import Case, SuiteScores, Verdict, VoteScore, decide, judge_votes
from learner.selftest.draw import People, draw_suite, draw_votes, estimate_gain, people_of
from learner.selftest.measured import Measured, Pair
from learner.selftest.tamper import tamper
from learner.statistics import Tried, share_interval, spend

POWER = 0.8  # with which a gain that counts as detectable is found
CYCLES = 20  # of a row that has nothing to find
NOTHING: Mapping[str, float] = MappingProxyType({})


class Wrong(Struct, frozen=True):
    """Shares of trials in which a rule was wrong."""

    false_promote: dict[str, float]
    false_reject: dict[str, float]


class SelfTest(Struct, frozen=True):
    """`intervals` are exact 95 % ones of the gate's rates (Clopper and Pearson 1934). `null_over_cycles` is the share of rows of
    so many cycles, none of which had anything better, in which anything went live."""

    trials: int
    false_promote: dict[str, float]
    false_reject: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    cycles: int
    null_over_cycles: float
    null_over_cycles_interval: tuple[float, float]
    greedy: Wrong


class _Count:
    """Of one kind of candidate: how many there were, and on how many each rule was wrong."""

    def __init__(self, promote_is_wrong: bool) -> None:
        self._is_wrong, self.trials, self.gate, self.greedy = promote_is_wrong, 0, 0, 0

    def add(self, case: Case, promoted: bool) -> None:
        self.trials += 1
        self.gate += promoted is self._is_wrong
        self.greedy += _mean_beats_mean(case) is self._is_wrong


@dataclass
class _Source:
    """What candidates are drawn from: a measured pair, as many people as it has out of all there are, and a gain."""

    pair: Pair
    people: People
    voters: int
    gain: float = 0.0  # twice what such votes can detect

    def votes(self, chance: Generator, gain: float = 0.0) -> list[VoteScore]:
        return draw_votes(self.people, self.voters, chance, gain)

    def suites(self, chance: Generator, lost: Mapping[str, float] = NOTHING) -> list[SuiteScores]:
        """Truly unchanged, but for what is lost."""
        return [draw_suite(suite, chance, lost.get(suite.name, 0.0)) for suite in self.pair.suites]


Plant = Callable[[_Source, Generator], Case]
Plan = tuple[str, Sequence[_Source], Plant]


def run_selftest(
    measured: Measured, settings: GateSettings, trials: int, seed: int = 0, advance: Callable[[int, int], None] | None = None
) -> SelfTest:
    """Judges so many candidates of each kind, and as many rows of nulls. The same seed gives the same rates.

    `advance` hears how many kinds of how many are done.
    """
    chance, alpha = np.random.default_rng(seed), spend([], settings.promote_error)
    pairs = [pair for pair in measured.pairs if not pair.hollow]
    unmoved = people_of(pairs, unmoved=True)
    sound = [_Source(pair, unmoved, _voters(pair), 2 * detectable_gain(pair, alpha)) for pair in pairs]
    plans = list(_plans(measured, sound, alpha))
    counts, rows = {"null": _Count(promote_is_wrong=True)}, 0
    for number in range(trials):
        rows += _run_nulls(sound[number % len(sound)], chance, settings, counts["null"])
    for done, (kind, sources, plant) in enumerate(plans, 1):
        if advance is not None:
            advance(done, len(plans) + 1)
        counts[kind] = _Count(promote_is_wrong=kind != "better")
        for number in range(trials):
            case = plant(sources[number % len(sources)], chance)
            counts[kind].add(case, _promotes(case, settings))
    rates = _split({kind: count.gate / count.trials for kind, count in counts.items()})
    return SelfTest(
        trials,
        rates.false_promote,
        rates.false_reject,
        intervals={kind: share_interval(count.gate, count.trials) for kind, count in counts.items()},
        cycles=CYCLES,
        null_over_cycles=rows / trials,
        null_over_cycles_interval=share_interval(rows, trials),
        greedy=_split({kind: count.greedy / count.trials for kind, count in counts.items()}),
    )


def _run_nulls(source: _Source, chance: Generator, settings: GateSettings, count: _Count) -> bool:
    """A row of cycles with nothing to find; whether anything went live."""
    tried: list[Tried] = []
    for _ in range(CYCLES):
        case = Case([], source.votes(chance), spend(tried, settings.promote_error))
        gain, _, _ = judge_votes(case.votes, case.vote_alpha, settings)
        if gain is None or gain.delta > 0:  # otherwise neither rule asks the suites
            case = replace(case, suites=source.suites(chance))
        promoted = _promotes(case, settings)
        count.add(case, promoted)
        if gain is not None:
            tried.append(Tried(gain.p_value, promoted))
    return any(one.found for one in tried)


def _promotes(case: Case, settings: GateSettings) -> bool:
    return decide(case, settings).verdict is Verdict.PROMOTE


def _plans(measured: Measured, sound: Sequence[_Source], alpha: float) -> Iterator[Plan]:
    def better(source: _Source, chance: Generator, lost: Mapping[str, float] = NOTHING) -> Case:
        suites = source.suites(chance, lost)
        return Case(suites, source.votes(chance, source.gain), alpha)

    def degraded(source: _Source, chance: Generator) -> Case:
        suite = source.pair.suites[chance.integers(len(source.pair.suites))]
        return better(source, chance, {suite.name: -2 * suite.margin})

    def as_measured(source: _Source, chance: Generator) -> Case:
        suites = [draw_suite(suite, chance, None) for suite in source.pair.suites]
        return Case(suites, source.votes(chance), alpha)

    yield "degraded", sound, degraded
    if hollow := [_Source(pair, people_of([pair], unmoved=False), _voters(pair)) for pair in measured.pairs if pair.hollow]:
        yield "hollow", hollow, as_measured
    yield "tampered", sound, lambda source, chance: tamper(better(source, chance), chance)
    yield "better", sound, better


def _voters(pair: Pair) -> int:
    return len({vote.person for vote in pair.votes})


def detectable_gain(pair: Pair, alpha: float) -> float:
    """The gain on votes such as these that a test at `alpha` finds with power 0.8, as the usual formula has it."""
    gain = estimate_gain(pair.votes)
    errors = stats.t.ppf(1 - alpha, gain.groups - 1) + stats.t.ppf(POWER, gain.groups - 1)
    return float(errors) * gain.error


def _mean_beats_mean(case: Case) -> bool:
    """The plain rule: the votes' mean gain is above zero, and the mean score of all suites did not fall."""
    if case.failure or not case.suites:
        return False
    gained = np.nanmean([vote.gain for vote in case.votes]) > 0
    return bool(gained and np.mean([_mean_change(suite) for suite in case.suites]) >= 0)


def _mean_change(suite: SuiteScores) -> float:
    known = [suite.candidate[item] - suite.live[item] for item in suite.items if item in suite.candidate]
    return float(np.nanmean(known)) if known else 0.0


def _split(rates: dict[str, float]) -> Wrong:
    return Wrong({kind: rate for kind, rate in rates.items() if kind != "better"}, {"better": rates["better"]})
