"""The gate: is a candidate better for people, and not worse anywhere? A pure function of scores, with its reasons.

* Every frozen suite: paired differences candidate - live, item by item. The one-sided lower confidence bound of their mean
  must not be below minus the suite's margin (non-inferiority). All suites must pass, so no correction for their number is
  needed: an intersection-union test errs no more often than its parts (Berger 1982). The same is asked against base, with
  a wider margin, since small losses of many cycles add up.
* Held-out votes: how much more the candidate's log-prob per token rose on liked than on disliked answers, as a
  difference of means with its standard error from leaving out one person at a time (the delete-one-cluster jackknife, Efron
  1982): the usual clustered formula gives nothing for somebody who casts all votes of a kind, and was wrong one time in
  five there. Its lower bound must be above zero, and the gain itself worth having.

Anything missing or not a number is `inconclusive`, which never promotes.

Where a cycle has several candidates, each is asked with its share of the error: with n of them the chance that at least one
of n that are no better gets through is at most the sum of n such chances (Bonferroni 1936), so a cycle errs no more often
than with one. The same scores may then also choose among those that pass.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace
from scipy import stats

from learner.config import GateSettings

MIN_VOTES_OF_A_KIND = 4
MIN_PEOPLE_OF_A_KIND = 3


class Verdict(StrEnum):
    PROMOTE = "promote"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


class SuiteScores(Struct, frozen=True):
    """Item id → score of one suite, by three models. `base` equals `live` in the first cycle."""

    name: str
    sha256: str
    margin: float
    veto: bool
    items: tuple[str, ...]  # all that must be there
    live: Mapping[str, float]
    candidate: Mapping[str, float]
    base: Mapping[str, float]


class VoteScore(Struct, frozen=True):
    """Mean log-prob per token of one voted answer, under both models."""

    id: str
    person_id: str
    label: int  # +1 or -1
    live: float
    candidate: float


class Comparison(Struct, frozen=True):
    """`delta` is the mean change, `lower_bound` its one-sided confidence bound."""

    live: float
    candidate: float
    delta: float
    lower_bound: float


class Decision(Struct, frozen=True):
    verdict: Verdict
    reasons: tuple[str, ...]
    suites: dict[str, Comparison]
    votes: Comparison | None


class Case(Struct, frozen=True):
    """What there is to judge one candidate by."""

    suites: Sequence[SuiteScores]
    votes: Sequence[VoteScore]


class Choice(Decision, frozen=True):
    """The decision on the candidate that came out best, and those on the others."""

    adapter: str
    others: dict[str, Decision]


def choose(cases: Mapping[str, Case], settings: GateSettings) -> Choice:
    """Judges each candidate by its share of the error. The best that is promoted is chosen, by the bound on its votes' gain.

    Where none is, the verdict is that on the one nearest to it: an inconclusive one before a rejected one.
    """
    count = len(cases)
    share = replace(settings, suite_alpha=settings.suite_alpha / count, vote_alpha=settings.vote_alpha / count)
    decisions = {adapter: decide(case.suites, case.votes, share) for adapter, case in cases.items()}
    best = max(decisions, key=lambda adapter: _rank(decisions[adapter]))  # the first of equals
    decision = decisions.pop(best)
    return Choice(decision.verdict, decision.reasons, decision.suites, decision.votes, best, decisions)


def _rank(decision: Decision) -> tuple[int, float]:
    nearness = (Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.PROMOTE).index(decision.verdict)
    return nearness, decision.votes.lower_bound if decision.votes else -math.inf


def decide(suites: Sequence[SuiteScores], votes: Sequence[VoteScore], settings: GateSettings) -> Decision:
    """The verdict on a candidate. `inconclusive` wins over nothing but `promote`: a proven loss is a rejection."""
    findings = [_judge_suite(suite, settings) for suite in suites]
    if not suites:
        findings.append((None, Verdict.INCONCLUSIVE, "no frozen suite was scored"))
    vote_finding = _judge_votes(votes, settings)
    verdicts = {verdict for _, verdict, _ in [*findings, vote_finding]}
    verdict = next(v for v in (Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.PROMOTE) if v in verdicts)
    reasons = tuple(reason for _, found, reason in [*findings, vote_finding] if found is verdict)
    compared = {suite.name: comparison for suite, (comparison, _, _) in zip(suites, findings, strict=False) if comparison}
    return Decision(verdict, reasons, compared, vote_finding[0])


Finding = tuple[Comparison | None, Verdict, str]


def _judge_suite(suite: SuiteScores, settings: GateSettings) -> Finding:
    for whose, scores in (("live", suite.live), ("candidate", suite.candidate), ("base", suite.base)):
        lacking = [item for item in suite.items if not math.isfinite(scores.get(item, math.nan))]
        if lacking or len(scores) != len(suite.items) or len(suite.items) < 2:
            return None, Verdict.INCONCLUSIVE, f"{suite.name}: {whose} has no proper score for {len(lacking)} items"
    to_live = compare(suite.items, suite.live, suite.candidate, settings.suite_alpha)
    to_base = compare(suite.items, suite.base, suite.candidate, settings.suite_alpha)
    worst: Finding = to_live, Verdict.PROMOTE, f"{suite.name}: not worse ({_words(to_live, suite.margin)})"
    for whom, comparison, margin in (
        ("live", to_live, suite.margin),
        ("base", to_base, suite.margin * settings.base_margins),
    ):
        if comparison.lower_bound >= -margin:
            continue
        told = f"{suite.name}: {_words(comparison, margin)} against {whom}"
        if suite.veto or comparison.delta < -margin:
            return to_live, Verdict.REJECT, f"{told}: worse"
        worst = to_live, Verdict.INCONCLUSIVE, f"{told}: cannot be told from worse"
    return worst


def _words(comparison: Comparison, margin: float) -> str:
    return f"{comparison.delta:+.4f}, bound {comparison.lower_bound:+.4f}, margin {margin:.4f}"


def compare(items: Sequence[str], live: Mapping[str, float], candidate: Mapping[str, float], alpha: float) -> Comparison:
    """The paired change of the mean score over the items, with its one-sided lower bound (Student's t)."""
    count = len(items)
    differences = [candidate[item] - live[item] for item in items]
    delta = math.fsum(differences) / count
    variance = math.fsum((difference - delta) ** 2 for difference in differences) / (count - 1)
    bound = delta - float(stats.t.ppf(1 - alpha, count - 1)) * math.sqrt(variance / count)
    return Comparison(_mean(live.values()), _mean(candidate.values()), delta, bound)


def _mean(values: Collection[float]) -> float:
    return math.fsum(values) / len(values)


def _judge_votes(votes: Sequence[VoteScore], settings: GateSettings) -> Finding:
    if any(not (math.isfinite(vote.live) and math.isfinite(vote.candidate)) for vote in votes):
        return None, Verdict.INCONCLUSIVE, "held-out votes: a log-prob is not a number"
    liked = [vote for vote in votes if vote.label > 0]
    disliked = [vote for vote in votes if vote.label < 0]
    pleased, displeased = {vote.person_id for vote in liked}, {vote.person_id for vote in disliked}
    few_votes = len(votes) < settings.min_heldout_votes or min(len(liked), len(disliked)) < MIN_VOTES_OF_A_KIND
    if few_votes or min(len(pleased), len(displeased)) < MIN_PEOPLE_OF_A_KIND:
        told = f"{len(liked)} up by {len(pleased)} people and {len(disliked)} down by {len(displeased)}"
        return None, Verdict.INCONCLUSIVE, f"held-out votes: {told} are too few to judge by"
    comparison = _vote_gain(liked, disliked, settings.vote_alpha)
    told = f"held-out votes: liked answers gained {comparison.delta:+.4f} per token over disliked"
    told += f", bound {comparison.lower_bound:+.4f}, of {len(votes)} votes by {len(pleased | displeased)} people"
    if comparison.lower_bound > 0 and comparison.delta >= settings.min_margin_gain:
        return comparison, Verdict.PROMOTE, told
    if comparison.delta <= 0:
        return comparison, Verdict.REJECT, f"{told}: not better"
    return comparison, Verdict.INCONCLUSIVE, f"{told}: may be chance"


def _vote_gain(liked: Sequence[VoteScore], disliked: Sequence[VoteScore], alpha: float) -> Comparison:
    """mean gain of liked - mean gain of disliked, and its jackknife bound. Each kind has votes of several people."""
    people = sorted({vote.person_id for vote in (*liked, *disliked)})
    delta = _gain(liked) - _gain(disliked)
    without = [
        _gain([vote for vote in liked if vote.person_id != person]) - _gain([vote for vote in disliked if vote.person_id != person])
        for person in people
    ]
    count = len(people)
    variance = (count - 1) / count * math.fsum((estimate - delta) ** 2 for estimate in without)
    bound = delta - float(stats.t.ppf(1 - alpha, count - 1)) * math.sqrt(variance)
    live = _mean([vote.live for vote in liked]) - _mean([vote.live for vote in disliked])
    return Comparison(live, live + delta, delta, bound)


def _gain(votes: Sequence[VoteScore]) -> float:
    return _mean([vote.candidate - vote.live for vote in votes])
