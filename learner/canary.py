"""A canary: what to do with a version that a share of people is trying. A pure function of what was observed.

* Votes: the mean share of thumbs up per person, on the canary's answers minus on the live version's, with bounds that hold
  at every look (learner/sequential.py). Proved worse is rolled back; proved not to have lost more than is tolerated, and
  tried by people enough for long enough, is promoted.
* Guardrails: for each fault, the mean share of a person's answers that have it, compared in the same way. Proved to have
  risen by more than is tolerated is rolled back. Half of the rollback error is the votes', the other half is divided among
  the faults (Bonferroni 1936).
* A canary most of whose answers are broken does not wait for proof, unless the live version's are as well: then it is not
  the version that is at fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from learner.config import ReleaseSettings
from learner.sequential import Bounds, Numbers, bound_difference

MIN_BROKEN = 5  # answers, below which a canary is not broken at once


class Fault(StrEnum):
    """What can be wrong with an answer, whoever reads it. An answer that is an ERROR counts as nothing else."""

    ERROR = "error"
    SLOW = "slow"
    EMPTY = "empty"
    REPEATING = "repeating"
    RUNAWAY = "runaway"
    REFUSED = "refused"


BROKEN = (Fault.ERROR, Fault.EMPTY)


class Observed(Struct, frozen=True):
    """What one version did since the canary began. Everything is by person: they are what was assigned at random."""

    votes: Mapping[str, tuple[int, int]]  # person → (thumbs up, thumbs) on its answers
    answers: Mapping[str, int]  # person → answers
    faults: Mapping[Fault, Mapping[str, int]]  # fault → person → answers of theirs that had it


class Step(StrEnum):
    WAIT = "wait"
    ADVANCE = "advance"  # to the next share of people
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    HOLD = "hold"  # its time is over and nothing is proved: an operator decides


class Judgement(Struct, frozen=True):
    """What to do and why. `votes` is how much more of the canary's answers people liked, None until people voted on both;
    `faults` how much more of them had each fault."""

    step: Step
    reasons: tuple[str, ...]
    votes: Bounds | None
    people: int  # who voted on the canary's answers
    thumbs: int = 0  # that they gave
    answers: int = 0  # of the canary's, whether voted on or not
    faults: dict[Fault, Bounds] = {}


def judge(canary: Observed, live: Observed, stage: int, stage_s: float, canary_s: float, settings: ReleaseSettings) -> Judgement:
    """What to do with a canary that is in stage `stage` of `settings.shares` since `stage_s`, and began `canary_s` ago.

    It may be asked at any time and as often as one likes; the errors of the settings are for all looks together.
    """
    votes = _compare_votes(canary, live, settings)
    faults = _compare_faults(canary, live, settings)
    people = len(_shares(canary.votes))
    thumbs, answers = sum(of for _, of in canary.votes.values()), sum(canary.answers.values())

    def tell(step: Step, *reasons: str) -> Judgement:
        return Judgement(step, reasons, votes, people, thumbs, answers, faults)

    if proved := [*_breach(canary, live), *_proved_worse(votes, faults, settings)]:
        return tell(Step.ROLL_BACK, *proved)
    lacking = _lacking(people, stage_s, settings)
    unproved = _unproved(votes, faults, settings)
    last = stage >= len(settings.shares) - 2
    if last and votes and not lacking and not unproved:
        return tell(Step.PROMOTE, f"{_words(votes)}: no loss of more than {settings.tolerated_loss:.3f}")
    if canary_s >= settings.max_canary_s:
        return tell(Step.HOLD, f"{canary_s:.0f} s are over without proof", *lacking, *unproved)
    if not lacking and not last:
        return tell(Step.ADVANCE, f"{people} people voted in {stage_s:.0f} s and nothing speaks against it")
    return tell(Step.WAIT, *lacking, *(unproved if last else ()))


def split_rollback_error(settings: ReleaseSettings) -> tuple[float, float]:
    """What part of the rollback error the votes have, and what each fault."""
    return settings.rollback_error / 2, settings.rollback_error / 2 / len(Fault)


def _compare_votes(canary: Observed, live: Observed, settings: ReleaseSettings) -> Bounds | None:
    shares, of_live = _shares(canary.votes), _shares(live.votes)
    error, _ = split_rollback_error(settings)
    if not shares or not of_live:
        return None
    return bound_difference(shares, of_live, settings.promote_error, error, settings.tolerated_loss)


def _compare_faults(canary: Observed, live: Observed, settings: ReleaseSettings) -> dict[Fault, Bounds]:
    _, error = split_rollback_error(settings)
    compared = {}
    for fault in Fault:
        shares, of_live = _fault_shares(canary, fault), _fault_shares(live, fault)
        if shares and of_live:
            compared[fault] = bound_difference(shares, of_live, error, error, settings.max_fault_rise)
    return compared


def _shares(counts: Mapping[str, tuple[int, int]]) -> list[float]:
    return [those / of for those, of in counts.values() if of]


def _fault_shares(observed: Observed, fault: Fault) -> list[float]:
    faulty = observed.faults.get(fault, {})
    return _shares({person: (faulty.get(person, 0), answers) for person, answers in observed.answers.items()})


def _breach(canary: Observed, live: Observed) -> list[str]:
    (broken, answers), of_live = _count_broken(canary), _count_broken(live)
    if broken < MIN_BROKEN or not mostly_broken(broken, answers) or mostly_broken(*of_live):
        return []
    return [f"{broken} of {answers} answers were broken off or empty, against {of_live[0]} of {of_live[1]} of the live version"]


def _count_broken(observed: Observed) -> tuple[int, int]:
    broken = sum(sum(observed.faults.get(fault, {}).values()) for fault in BROKEN)
    return broken, sum(observed.answers.values())


def mostly_broken(broken: Numbers, answers: Numbers) -> Numbers:
    """Whether more than half of the answers are; of numbers, or arrays of them."""
    return 2 * broken > answers


def _proved_worse(votes: Bounds | None, faults: Mapping[Fault, Bounds], settings: ReleaseSettings) -> list[str]:
    worse = [f"{_words(votes)}: worse"] if votes and votes.upper < 0 else []
    allowed = settings.max_fault_rise
    risen = [
        f"{fault}: {_rise(bounds)}; at most {allowed:+.3f} is allowed" for fault, bounds in faults.items() if bounds.lower > allowed
    ]
    return worse + risen


def _lacking(people: int, stage_s: float, settings: ReleaseSettings) -> list[str]:
    few = [f"{people} people voted on its answers; expected {settings.min_people}"] if people < settings.min_people else []
    short = [f"this stage is {stage_s:.0f} s old; expected {settings.min_stage_s:.0f}"] if stage_s < settings.min_stage_s else []
    return few + short


def _unproved(votes: Bounds | None, faults: Mapping[Fault, Bounds], settings: ReleaseSettings) -> list[str]:
    """What is not proved of the votes, and which faults seem to have risen too far, which need not be proved to refuse."""
    found = []
    if not votes:
        found.append("nobody voted on answers of both versions")
    elif votes.lower <= -settings.tolerated_loss:
        found.append(f"{_words(votes)}: may be a loss of more than {settings.tolerated_loss:.3f}")
    allowed = settings.max_fault_rise
    return found + [
        f"{fault}: {_rise(bounds)}; expected {allowed:+.3f} at most" for fault, bounds in faults.items() if bounds.delta > allowed
    ]


def _words(votes: Bounds) -> str:
    return f"share of thumbs up per person: {votes.delta:+.3f}, at least {votes.lower:+.3f} and at most {votes.upper:+.3f}"


def _rise(bounds: Bounds) -> str:
    return f"share of a person's answers {bounds.delta:+.3f}, at least {bounds.lower:+.3f}"
