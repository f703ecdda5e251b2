"""Which kinds of feedback moved what: the change of held-out answers, by what their owners had to say about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from learner.evaluate.stage import Evaluated, VotedAnswer
from learner.gate import MIN_PEOPLE_OF_A_KIND
from learner.report.document import Moved
from learner.rows import RowKind
from learner.statistics import estimate_mean
from storage.heldout import HeldOut


def moved(evaluated: Evaluated, candidate: str, heldout: Sequence[HeldOut]) -> list[Moved]:
    """From the live version to the candidate: by kind of feedback, then by the reasons given.

    Groups of fewer people than the gate asks of a kind of vote are left out.
    """
    known = {one.message_id: one for one in heldout}
    groups: defaultdict[tuple[int, str], list[VotedAnswer]] = defaultdict(list)
    for vote in evaluated.votes:
        for group in _groups(vote, known):
            groups[group].append(vote)
    found = [_moved(kind, groups[order, kind], evaluated.live, candidate) for order, kind in sorted(groups)]
    return [group for group in found if group.people >= MIN_PEOPLE_OF_A_KIND]


def _groups(vote: VotedAnswer, known: Mapping[str, HeldOut]) -> Iterator[tuple[int, str]]:
    """(order, name) of each group that a vote belongs to."""
    about = known.get(vote.id)
    yield 0, "liked" if vote.label > 0 else "disliked"
    if about is not None and about.kind != RowKind.THUMB:
        yield 1, about.kind
    for reason in about.reasons if about is not None else ():
        yield 2, f"because: {reason}"


def _moved(kind: str, votes: Sequence[VotedAnswer], live: str, candidate: str) -> Moved:
    mean = estimate_mean([vote.means[candidate] - vote.means[live] for vote in votes], [vote.person_id for vote in votes])
    return Moved(kind, len(votes), mean.groups, mean.value, mean.error)
