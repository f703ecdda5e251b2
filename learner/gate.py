"""The gate: is a candidate better for people, and not worse anywhere? A pure function of scores, with its reasons.

* Every frozen suite: paired differences candidate - live, item by item, clustered by family. The one-sided lower confidence
  bound of their mean must not be below minus the suite's margin (non-inferiority). All suites must pass, so no correction
  for their number is needed: an intersection-union test errs no more often than its parts (Berger 1982). The same is asked
  against base, with a wider margin, since small losses of many cycles add up. That a candidate *is* worse is said only
  where its loss is proved, over all suites together (Holm 1979); otherwise it cannot be told. Advisory suites are
  compared and reported, and decide nothing.
* Held-out votes: by how much the share of thumbs up would rise, to first order, as each vote has it
  (`learner.evaluate.appraising`), clustered by person. Its lower bound must be above zero, and the rise itself worth having.

Anything missing, out of its limits or not a number is `inconclusive`, which never promotes.

**Many tries.** A row of cycles has one budget, `promote_error`: of what it promotes, no larger share is expected to be no
better, and as long as nothing is, the chance that anything goes live stays below it (`learner.statistics.spend`). A cycle's
candidates divide what it may spend (Bonferroni 1936). The same scores may then also choose among those that pass.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from statistics import fmean

from msgspec import Struct
from msgspec.structs import replace

from learner.config import GateSettings
from learner.statistics import Estimate, estimate_mean, p_more_lost, reject_holm, spend

MIN_VOTES_OF_A_KIND = 4
MIN_PEOPLE_OF_A_KIND = 3


class Verdict(StrEnum):
    PROMOTE = "promote"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


FROM_WORST = (Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.PROMOTE)


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
    families: tuple[str, ...] = ()  # of the items, in their order; each stands alone where empty
    advisory: bool = False
    limits: tuple[float, float] = (-math.inf, math.inf)  # between which a score can be


class VoteScore(Struct, frozen=True):
    """What one vote says of the change in the share of thumbs up. Their mean is that change, to first order."""

    id: str
    person_id: str
    label: int  # +1 or -1
    gain: float


class Comparison(Struct, frozen=True):
    """`delta` is the mean change, `lower_bound` its one-sided confidence bound. Of votes, `live` is the share of thumbs up."""

    live: float
    candidate: float
    delta: float
    lower_bound: float


class VoteComparison(Comparison, frozen=True):
    """`p_value` is the chance of so high a `delta` where nothing is gained."""

    p_value: float = 1.0


class SuiteComparison(Comparison, frozen=True):
    """`won` and `lost` items turned from below one half to above it, and back; `p_worse` is small where a loss is proved."""

    margin: float = 0.0
    advisory: bool = False
    won: int = 0
    lost: int = 0
    p_worse: float = 1.0


class SuiteFinding(Struct, frozen=True):
    """What one suite says by itself. `comparison` is with the live version, None where there is nothing to compare."""

    name: str
    verdict: Verdict
    reason: str
    comparison: SuiteComparison | None = None


class Decision(Struct, frozen=True):
    verdict: Verdict
    reasons: tuple[str, ...]
    suites: dict[str, SuiteComparison]
    votes: VoteComparison | None


class Case(Struct, frozen=True):
    """What there is to judge one candidate by. Its suites may be left out where the votes refuse it anyhow."""

    suites: Sequence[SuiteScores]
    votes: Sequence[VoteScore]
    vote_alpha: float = spend([], GateSettings().promote_error)  # one-sided error that the votes' gain may be chance
    failure: str = ""  # why it could not be evaluated


class Choice(Decision, frozen=True):
    """The decision on the candidate that came out best, and those on the others."""

    adapter: str
    others: dict[str, Decision]


def choose(cases: Mapping[str, Case], settings: GateSettings) -> Choice:
    """Judges each candidate by its share of the error. The best that is promoted is chosen, by the bound on its votes' gain.

    Where none is, the verdict is that on the one nearest to it: an inconclusive one before a rejected one.
    """
    count = len(cases)
    share = replace(settings, suite_alpha=settings.suite_alpha / count)
    shares = {adapter: replace(case, vote_alpha=case.vote_alpha / count) for adapter, case in cases.items()}
    decisions = {adapter: decide(case, share) for adapter, case in shares.items()}
    best = max(decisions, key=lambda adapter: _rank(decisions[adapter]))  # the first of equals
    decision = decisions.pop(best)
    return Choice(decision.verdict, decision.reasons, decision.suites, decision.votes, best, decisions)


def worst_of(verdicts: Collection[Verdict]) -> Verdict:
    """What some verdicts come to together: the one farthest from promoting. There is one at least."""
    return min(verdicts, key=FROM_WORST.index)


def _rank(decision: Decision) -> tuple[int, float]:
    return FROM_WORST.index(decision.verdict), decision.votes.lower_bound if decision.votes else -math.inf


def decide(case: Case, settings: GateSettings) -> Decision:
    """The verdict on a candidate. `inconclusive` wins over nothing but `promote`: a proven loss is a rejection."""
    if case.failure:
        return Decision(Verdict.INCONCLUSIVE, (case.failure,), {}, None)
    gain, vote_verdict, vote_reason = judge_votes(case.votes, case.vote_alpha, settings)
    found = judge_suites(case.suites, settings)
    deciding = {suite.name for suite in case.suites if not suite.advisory}
    findings = [(finding.verdict, finding.reason) for finding in found if finding.name in deciding]
    findings.append((vote_verdict, vote_reason))
    if not deciding and vote_verdict is Verdict.PROMOTE:
        findings.append((Verdict.INCONCLUSIVE, "no frozen suite was scored"))
    verdict = worst_of([verdict for verdict, _ in findings])
    reasons = tuple(reason for said, reason in findings if said is verdict)
    return Decision(verdict, reasons, {one.name: one.comparison for one in found if one.comparison}, gain)


def judge_suites(suites: Sequence[SuiteScores], settings: GateSettings) -> list[SuiteFinding]:
    """What each suite says, in their order. Losses are proved over all that decide together."""
    flaws = {suite.name: _flaw(suite) for suite in suites}
    changes = {suite.name: _changes(suite) for suite in suites if not flaws[suite.name]}
    p_values = {
        (suite.name, whom): p_worse
        for suite in suites
        if not suite.advisory
        for whom, (_, p_worse) in changes.get(suite.name, {}).items()
    }
    proved = reject_holm(p_values, settings.suite_alpha)
    return [
        SuiteFinding(suite.name, Verdict.INCONCLUSIVE, flaws[suite.name])
        if flaws[suite.name]
        else _judge_suite(suite, changes[suite.name], {whom for name, whom in proved if name == suite.name}, settings)
        for suite in suites
    ]


def compare_suite(suite: SuiteScores, settings: GateSettings) -> SuiteFinding:
    """What one suite says where no other is asked, whether it is advisory or not."""
    [finding] = judge_suites([replace(suite, advisory=False)], settings)
    return finding


Change = tuple[Estimate, float]  # with the p-value of its being a loss


def _changes(suite: SuiteScores) -> dict[str, Change]:
    """The paired change of the mean score against live and against base."""
    return {whom: _change(suite, scores) for whom, scores in (("live", suite.live), ("base", suite.base))}


def _change(suite: SuiteScores, before: Mapping[str, float]) -> Change:
    families = suite.families or suite.items
    estimate = estimate_mean([suite.candidate[item] - before[item] for item in suite.items], families)
    if len(set(families)) == len(suite.items) and {*before.values(), *suite.candidate.values()} <= {0.0, 1.0}:
        return estimate, p_more_lost(*_turned(suite, before))
    return estimate, estimate.p_below_zero()


def _turned(suite: SuiteScores, before: Mapping[str, float]) -> tuple[int, int]:
    """How many items rose above one half, and how many fell below it."""
    moves = [(suite.candidate[item] > 0.5) - (before[item] > 0.5) for item in suite.items]
    return moves.count(1), moves.count(-1)


def _flaw(suite: SuiteScores) -> str:
    """What is wrong with the scores; nothing where they are those of the suite's items."""
    lowest, highest = suite.limits
    for whose, scores in (("live", suite.live), ("candidate", suite.candidate), ("base", suite.base)):
        lacking = [item for item in suite.items if not math.isfinite(scores.get(item, math.nan))]
        if lacking or len(scores) != len(suite.items):
            return f"{suite.name}: {whose} has no proper score for {len(lacking)} items"
        if beyond := [item for item in suite.items if not lowest <= scores[item] <= highest]:
            return f"{suite.name}: {whose} has {scores[beyond[0]]:g} for {beyond[0]!r}, expected {lowest:g} to {highest:g}"
    if len(set(suite.families or suite.items)) < 2:
        return f"{suite.name}: {len(suite.items)} items of one family prove nothing"
    return ""


def _judge_suite(suite: SuiteScores, changes: Mapping[str, Change], proved: set[str], settings: GateSettings) -> SuiteFinding:
    to_live, p_worse = changes["live"]
    bounds = {whom: change.lower_bound(settings.suite_alpha) for whom, (change, _) in changes.items()}
    means = fmean(suite.live.values()), fmean(suite.candidate.values())
    turned = _turned(suite, suite.live)
    compared = SuiteComparison(*means, to_live.value, bounds["live"], suite.margin, suite.advisory, *turned, p_worse)
    told = f"{suite.name}: not worse ({_words(to_live.value, bounds['live'], suite.margin)})"
    worst = SuiteFinding(suite.name, Verdict.PROMOTE, told, compared)
    for whom, margin in (("live", suite.margin), ("base", suite.margin * settings.base_margins)):
        change, bound = changes[whom][0], bounds[whom]
        if bound >= -margin:
            continue
        told = f"{suite.name}: {_words(change.value, bound, margin)} against {whom}"
        if suite.veto or (change.value < -margin and whom in proved):
            return SuiteFinding(suite.name, Verdict.REJECT, f"{told}: worse", compared)
        worst = SuiteFinding(suite.name, Verdict.INCONCLUSIVE, f"{told}: cannot be told from worse", compared)
    return worst


def _words(delta: float, bound: float, margin: float) -> str:
    return f"{delta:+.4f}, bound {bound:+.4f}, margin {margin:.4f}"


def judge_votes(votes: Sequence[VoteScore], alpha: float, settings: GateSettings) -> tuple[VoteComparison | None, Verdict, str]:
    """What the held-out votes say of the candidate, and why."""
    if not all(math.isfinite(vote.gain) for vote in votes):
        return None, Verdict.INCONCLUSIVE, "held-out votes: what one says of the candidate is not a number"
    liked = [vote for vote in votes if vote.label > 0]
    disliked = [vote for vote in votes if vote.label < 0]
    pleased, displeased = {vote.person_id for vote in liked}, {vote.person_id for vote in disliked}
    few_votes = len(votes) < settings.min_heldout_votes or min(len(liked), len(disliked)) < MIN_VOTES_OF_A_KIND
    if few_votes or min(len(pleased), len(displeased)) < MIN_PEOPLE_OF_A_KIND:
        told = f"{len(liked)} up by {len(pleased)} people and {len(disliked)} down by {len(displeased)}"
        return None, Verdict.INCONCLUSIVE, f"held-out votes: {told} are too few to judge by"
    comparison = _vote_gain(votes, alpha)
    told = f"held-out votes: the share of thumbs up would change by {comparison.delta:+.3f}"
    told += f", bound {comparison.lower_bound:+.3f}, by {len(votes)} votes of {len(pleased | displeased)} people"
    if comparison.lower_bound > 0 and comparison.delta >= settings.min_gain:
        return comparison, Verdict.PROMOTE, told
    if comparison.delta <= 0:
        return comparison, Verdict.REJECT, f"{told}: not better"
    return comparison, Verdict.INCONCLUSIVE, f"{told}: may be chance"


def _vote_gain(votes: Sequence[VoteScore], alpha: float) -> VoteComparison:
    gain = estimate_mean([vote.gain for vote in votes], [vote.person_id for vote in votes])
    live = fmean(vote.label > 0 for vote in votes)
    return VoteComparison(live, live + gain.value, gain.value, gain.lower_bound(alpha), gain.p_above_zero())
