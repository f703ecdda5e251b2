"""What each method needs at least: votes of both kinds or pairs where it tells better from worse, any row where it just repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from learner.context import NothingToLearn
from learner.curate.example import Drop
from learner.rows import Row, RowKind, Split
from learner.train.methods import READS

OF_PEOPLE = frozenset({RowKind.THUMB, RowKind.CORRECTION, RowKind.PREFERENCE})  # kinds that come of what people here said
PAIRS = frozenset({RowKind.CORRECTION, RowKind.PREFERENCE})
NEEDS_FEEDBACK = frozenset({"mixed", "kto"})  # methods that documents alone are not enough for
TELLS_APART = NEEDS_FEEDBACK | {"reward"}
MIN_OF_A_KIND = 2  # liked and disliked rows without which there is nothing to tell apart


def reads_feedback(method: str) -> bool:
    """Whether a method learns from any of what people here said."""
    return not READS[method].isdisjoint(OF_PEOPLE)


def check_enough(method: str, said: Iterable[Row], shown: Iterable[Row], dropped: Sequence[Drop]) -> None:
    """Raises `NothingToLearn`, with what there is and what waits, where there is too little among the training rows.

    `said` are rows of what people here said, `shown` those of documents.
    """
    rows = said if method in NEEDS_FEEDBACK else (*said, *shown)
    train = [row for row in rows if row.split is Split.TRAIN]
    kinds, votes = Counter(row.kind for row in train), Counter(row.label for row in train)
    if method not in TELLS_APART:
        if not train:
            kinds_read = ", ".join(sorted(READS[method] - {RowKind.REPLAY}))
            raise NothingToLearn(f"there is nothing that the method {method!r} learns from ({kinds_read}){_missed(dropped)}")
        return
    if any(kinds[kind] for kind in PAIRS) or min(votes[1], votes[-1]) >= MIN_OF_A_KIND:
        return
    there = f"{votes[1]} liked and {votes[-1]} disliked answers to learn from"
    raise NothingToLearn(f"{there}, {MIN_OF_A_KIND} of each are needed{_missed(dropped)}")


def _missed(dropped: Sequence[Drop]) -> str:
    """What might have been learnt from: what waits, and what was left out, by reason."""
    told = ""
    for what, held in (("held back", True), ("left out", False)):
        reasons = Counter(drop.reason for drop in dropped if drop.held is held).most_common()
        told += f"; {what}: {', '.join(f'{count} {reason!r}' for reason, count in reasons)}" if reasons else ""
    return told
