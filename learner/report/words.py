"""Why a cycle ended as it did, in plain words: what a report begins with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from learner.evaluate.stage import Evaluated
from learner.gate import Choice, Verdict
from learner.report.document import CanaryPath, SuiteChange
from learner.report.language import Words
from storage.records import Cycle, CycleState

GAIN, SHARE, POINTS = "+.4f", ".0%", "+.1f"


def explain(
    words: Words,
    cycle: Cycle,
    choice: Choice | None,
    evaluated: Evaluated | None,
    suites: Sequence[SuiteChange],
    path: CanaryPath | None,
) -> str:
    """One paragraph. What the cycle did not come to is not spoken of."""
    if choice is None or evaluated is None:
        return _unjudged(words, cycle)
    said = [
        _verdict(words, choice, evaluated),
        _votes(words, choice, evaluated),
        *_suites(words, choice, evaluated, suites),
        _outcome(words, cycle, choice, path),
    ]
    return " ".join(sentence for sentence in said if sentence)


def _unjudged(words: Words, cycle: Cycle) -> str:
    why = f": {'; '.join(cycle.reasons)}" if cycle.reasons else ""
    match cycle.state:
        case CycleState.RUNNING:
            return words.t("why.running", id=cycle.id)
        case CycleState.TRAINED:
            return words.t("why.trained", id=cycle.id, why=why)
        case _:
            return words.t("why.unjudged", id=cycle.id, state=words.name("state", cycle.state), why=why)


def _verdict(words: Words, choice: Choice, evaluated: Evaluated) -> str:
    count = len(evaluated.candidates)
    name = words.t("why.best_of", name=choice.adapter, count=count) if count > 1 else choice.adapter
    if evaluated.failure:
        return words.t("why.not_judged", name=name, why=evaluated.failure)
    return words.t(f"why.{choice.verdict}", name=name, why="; ".join(choice.reasons))


def _votes(words: Words, choice: Choice, evaluated: Evaluated) -> str:
    if (votes := choice.votes) is None:
        return ""
    speaks = "for" if votes.lower_bound > 0 else "against" if votes.delta <= 0 else "chance"
    told = words.t(
        "why.votes",
        votes=len(evaluated.judging),
        people=len({vote.person_id for vote in evaluated.judging}),
        share=words.number(votes.live, SHARE),
        gain=words.number(100 * votes.delta, POINTS),
        least=words.number(100 * votes.lower_bound, POINTS),
        speaks=words.t(f"why.speaks_{speaks}"),
    )
    return told + _error(words, evaluated)


def _error(words: Words, evaluated: Evaluated) -> str:
    """What the bound on the votes may err. Nothing of an evaluation from before that was kept."""
    if not evaluated.vote_alpha:
        return ""
    count, alpha = len(evaluated.candidates), evaluated.vote_alpha
    each = words.t("why.error_each", chance=words.number(alpha / count, ".2%"), count=count) if count > 1 else ""
    return f" {words.t('why.error', chance=words.number(alpha, '.2%'), each=each)}"


def _suites(words: Words, choice: Choice, evaluated: Evaluated, suites: Sequence[SuiteChange]) -> Iterable[str]:
    if not choice.suites and not evaluated.failure and choice.adapter not in evaluated.scored:
        yield words.t("why.suites_not_scored")
    deciding = [one for one in suites if not one.advisory]
    if held := [one for one in deciding if one.room >= 0]:
        room = (words.t("why.room", name=one.name, room=words.number(one.room), margin=words.number(one.margin)) for one in held)
        yield words.t("why.held", suites=", ".join(room))
    for one in deciding:
        if one.room < 0:
            yield words.t(
                "why.not_held",
                name=one.name,
                live=words.number(one.live),
                candidate=words.number(one.candidate),
                lost=words.number(-one.lower_bound),
                margin=words.number(one.margin),
            )
    if advisory := [f"{one.name} {words.number(one.delta, GAIN)}" for one in suites if one.advisory]:
        yield words.t("why.advisory", suites=", ".join(advisory))


def _outcome(words: Words, cycle: Cycle, choice: Choice, path: CanaryPath | None) -> str:
    """What came of a candidate that the gate let through."""
    if path is not None:
        return words.t(f"why.trial_{path.canary.state}", share=words.number(path.share, SHARE), why=path.canary.reason)
    if choice.verdict is not Verdict.PROMOTE:
        return ""
    match cycle.state:
        case CycleState.PROMOTED:
            return words.t("why.live_at_once")
        case CycleState.RUNNING:
            return words.t("why.on_its_way")
        case _:
            state = words.name("state", cycle.state)
            return words.t("why.not_live", state=state, why="; ".join(cycle.reasons))
