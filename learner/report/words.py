"""Why a cycle ended as it did, in plain words: what a report begins with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from learner.evaluate.stage import Evaluated
from learner.gate import Choice, Verdict
from learner.report.document import CanaryPath, SuiteChange
from storage.records import CanaryState, Cycle, CycleState


def explain(
    cycle: Cycle, choice: Choice | None, evaluated: Evaluated | None, suites: Sequence[SuiteChange], path: CanaryPath | None
) -> str:
    """One paragraph. What the cycle did not come to is not spoken of."""
    if choice is None or evaluated is None:
        return _unjudged(cycle)
    said = [
        _verdict(choice, evaluated),
        _votes(choice, evaluated),
        *_suites(choice, evaluated, suites),
        _outcome(cycle, choice, path),
    ]
    return " ".join(sentence for sentence in said if sentence)


def _unjudged(cycle: Cycle) -> str:
    why = f": {'; '.join(cycle.reasons)}" if cycle.reasons else ""
    match cycle.state:
        case CycleState.RUNNING:
            return f"Cycle {cycle.id} is still running, and nothing is judged yet."
        case CycleState.TRAINED:
            return f"Cycle {cycle.id} made no version that could answer people, but something that later cycles learn by{why}."
        case _:
            return f"Cycle {cycle.id} ended as {cycle.state.value} before the gate had judged anything{why}."


def _verdict(choice: Choice, evaluated: Evaluated) -> str:
    count = len(evaluated.candidates)
    name = f"{choice.adapter}, the best of {count} candidates," if count > 1 else choice.adapter
    reasons = "; ".join(choice.reasons)
    if evaluated.failure:
        return f"{name} was not judged, and what is not judged does not go live: {evaluated.failure}."
    match choice.verdict:
        case Verdict.PROMOTE:
            return (
                f"{name} passed the gate: it is better on the votes, and not worse by more than it may on any suite that decides."
            )
        case Verdict.REJECT:
            return f"{name} was refused: {reasons}."
        case Verdict.INCONCLUSIVE:
            return f"It cannot be told whether {name} is good enough, and so it does not go live: {reasons}."


def _votes(choice: Choice, evaluated: Evaluated) -> str:
    if (votes := choice.votes) is None:
        return ""
    people = len({vote.person_id for vote in evaluated.votes})
    told = f"On {len(evaluated.votes)} held-out votes of {people} people, answers that were liked gained {votes.delta:+.4f}"
    told += f" nats per token over those that were not, and {votes.lower_bound:+.4f} at the least"
    if votes.lower_bound > 0:
        told += ", which speaks for it"
    else:
        told += ", which speaks against it" if votes.delta <= 0 else ", which may be chance"
    return f"{told}.{_error(evaluated)}"


def _error(evaluated: Evaluated) -> str:
    """What the bound on the votes may err. Nothing of an evaluation from before that was kept."""
    if not evaluated.vote_alpha:
        return ""
    count = len(evaluated.candidates)
    share = f", {evaluated.vote_alpha / count:.2%} for each of its {count} candidates" if count > 1 else ""
    return f" This cycle could be wrong about that with a chance of {evaluated.vote_alpha:.2%}{share}."


def _suites(choice: Choice, evaluated: Evaluated, suites: Sequence[SuiteChange]) -> Iterable[str]:
    if not choice.suites and not evaluated.failure and choice.adapter not in evaluated.scored:
        yield "Its frozen suites were not scored, since the votes had refused it already."
    deciding = [one for one in suites if not one.advisory]
    if held := [one for one in deciding if one.room >= 0]:
        room = ", ".join(f"{one.name} ({one.room:.4f} of {one.margin:.4f})" for one in held)
        yield f"Held, with what is left of the margin: {room}."
    for one in deciding:
        if one.room < 0:
            yield (
                f"Not held: on {one.name} the mean score went from {one.live:.4f} to {one.candidate:.4f}, and may have fallen"
                f" by {-one.lower_bound:.4f}, where {one.margin:.4f} is the most that may be lost."
            )
    if advisory := [f"{one.name} {one.delta:+.4f}" for one in suites if one.advisory]:
        yield f"Reported only, without a say: {', '.join(advisory)}."


def _outcome(cycle: Cycle, choice: Choice, path: CanaryPath | None) -> str:
    """What came of a candidate that the gate let through."""
    if path is not None:
        return _tried(path)
    if choice.verdict is not Verdict.PROMOTE:
        return ""
    match cycle.state:
        case CycleState.PROMOTED:
            return "It went live at once."
        case CycleState.RUNNING:
            return "It is on its way."
        case _:
            return f"It did not go live, for the cycle ended as {cycle.state.value}: {'; '.join(cycle.reasons)}."


def _tried(path: CanaryPath) -> str:
    canary = path.canary
    match canary.state:
        case CanaryState.WAITING_APPROVAL:
            return "It waits for an operator to approve it."
        case CanaryState.RUNNING:
            return f"It is being tried by {path.share:.0%} of the people before it goes live."
        case CanaryState.HELD:
            return f"It is tried by {path.share:.0%} of the people, and held there: {canary.reason}."
        case CanaryState.PROMOTED:
            return f"Then it went live: {canary.reason}."
        case CanaryState.ROLLED_BACK:
            return f"But it was taken back while people tried it: {canary.reason}."
        case CanaryState.ENDED:
            return f"But its trial ended without a judgement: {canary.reason}."
