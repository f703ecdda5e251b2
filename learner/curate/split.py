"""Who teaches and who judges: by person, so that nobody's taste is on both sides, and for good.

A conversation is its owner's, so it is on one side too. What several people asked in the same words and got the same
answer to may still be on both: there the judges' copies go, since a model that learnt the others would be judged by what it
was told.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from learner.chance import fraction_of
from learner.curate.example import Example, Sifted, drop
from learner.rows import Split


def split_of(person_id: str, heldout_share: float) -> Split:
    """The side of a person: always the same, whatever else is in the dataset."""
    return Split.HELDOUT if fraction_of(person_id) < heldout_share else Split.TRAIN


def unleak(examples: Sequence[Example], cluster_ids: Sequence[Hashable], heldout_share: float) -> Sifted:
    """Takes out held-out examples whose conversation, or whose near-duplicate, is among those that teach.

    `cluster_ids` has one entry for each example: those of near-duplicate (question, answer) pairs are equal.
    """
    sides = [split_of(example.person_id, heldout_share) for example in examples]
    taught: set[tuple[str, Hashable]] = set()
    for example, cluster, side in zip(examples, cluster_ids, sides, strict=True):
        if side is Split.TRAIN:
            taught |= {("cluster", cluster), ("conversation", example.conversation_id)}
    sifted = Sifted([], [])
    for example, cluster, side in zip(examples, cluster_ids, sides, strict=True):
        leaks = ("cluster", cluster) in taught or ("conversation", example.conversation_id) in taught
        if side is Split.HELDOUT and leaks:
            sifted.dropped.append(drop(example, "stands in the training rows"))
        else:
            sifted.kept.append(example)
    return sifted
