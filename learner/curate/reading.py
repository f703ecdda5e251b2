"""Which rows of what people said a method takes: those of kinds that it reads, and all that judge."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from learner.curate.example import Drop
from learner.rows import Row, RowKind, Split
from learner.train.methods import READS


def take(rows: Iterable[Row], method: str) -> tuple[list[Row], list[Drop]]:
    """The rows as the method reads them, and those that it leaves for another. Held-out rows stay, whatever they are.

    A disliked answer with a correction is still a vote to who reads votes alone.
    """
    reads = READS[method]
    taken, left = [], []
    for row in rows:
        as_vote = row.kind is RowKind.CORRECTION and row.label and RowKind.THUMB in reads and row.kind not in reads
        if row.split is Split.HELDOUT or row.kind in reads:
            taken.append(row)
        elif as_vote:
            taken.append(replace(row, kind=RowKind.THUMB, better_ids=()))
        else:
            left.append(Drop(row.id, row.person_id, f"the method {method!r} does not learn from rows of kind {row.kind.value!r}"))
    return taken, left
