"""What a reason makes of a vote against an answer: which of its tokens the vote is about, and how much it counts.

| reason             | the row then                                                                                    |
|--------------------|-------------------------------------------------------------------------------------------------|
| improper           | counts more; what does so is counted in the stage's output, and named in the manifest           |
| refused needlessly | counts more; what a refusal is lies in its first tokens, which the trainer looks at anyway      |
| incomplete,        | is against the end of turn alone: what was said so far was not the fault. One that its limit    |
| too short          | ended teaches nothing and goes                                                                  |
| too long           | is for an end of turn after the sentence that ends nearest the middle; the words are only the   |
|                    | context of that. One without such a sentence goes                                               |
| any other, or none | is against the whole answer                                                                     |

A reason about content (wrong, off topic, improper, style, refused needlessly) wins over those about length, and of these
too long yields to the others. A correction says by itself what would have been better: there reasons only weigh. Rows that
judge stay as they are, whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from learner.config import CurateSettings
from learner.rows import Row, RowKind
from storage.records import Reason

OF_CONTENT = frozenset({Reason.WRONG, Reason.OFF_TOPIC, Reason.IMPROPER, Reason.STYLE, Reason.REFUSED_NEEDLESSLY})
LIMITED = "incomplete or too short, but it was its limit that ended it"
NO_SENTENCE = "too long, but no sentence ends near its middle"
SENTENCE_END = re.compile(r"(?<!\d)[.!?…][\"'”’)\]*_]*\Z")
UNSPACED_END = re.compile(r"[。！？][”’」』）]*\Z")  # after which the next sentence follows directly
TAIL_TOKENS = 4  # in which a sentence's end with what closes it is seen

Decode = Callable[[Sequence[int]], str]


class Shaped(NamedTuple):
    """`row` is None where nothing can be learnt, for the reason in `notes`; otherwise those are what was done to it."""

    row: Row | None
    notes: tuple[str, ...] = ()


def shape(row: Row, reasons: Collection[Reason], ended: bool, end: int, decode: Decode, settings: CurateSettings) -> Shaped:
    """A training row as its reasons have it. `end` is the token that ends a turn; `ended` says whether the model gave it."""
    if row.label >= 0:
        return Shaped(row)
    row, notes = _weigh(row, reasons, settings)
    if row.kind is not RowKind.THUMB or OF_CONTENT.intersection(reasons):
        return Shaped(row, notes)
    for reason in (Reason.INCOMPLETE, Reason.TOO_SHORT):
        if reason in reasons:
            only_end = replace(row, lesson_from=len(row.answer_ids) - 1)
            return Shaped(only_end, (f"{_words(reason)}: only its end",)) if ended else Shaped(None, (LIMITED,))
    return _shorten(row, end, decode) if Reason.TOO_LONG in reasons else Shaped(row)


def _weigh(row: Row, reasons: Collection[Reason], settings: CurateSettings) -> tuple[Row, tuple[str, ...]]:
    factors = {Reason.IMPROPER: settings.improper_weight, Reason.REFUSED_NEEDLESSLY: settings.refused_weight}
    notes = []
    for reason in (one for one in factors if one in reasons):
        row = replace(row, weight=round(row.weight * factors[reason], 6))
        notes.append(f"{_words(reason)} ×{factors[reason]:g}")
    return row, tuple(notes)


def _shorten(row: Row, end: int, decode: Decode) -> Shaped:
    at = middle_end(row.answer_ids, decode)
    if at is None:
        return Shaped(None, (NO_SENTENCE,))
    note = f"{_words(Reason.TOO_LONG)}: an end after {at} of {len(row.answer_ids)} tokens"
    return Shaped(replace(row, label=1, answer_ids=(*row.answer_ids[:at], end), lesson_from=at), (note,))


def middle_end(ids: Sequence[int], decode: Decode) -> int | None:
    """How many of the tokens go up to the end of a sentence or line nearest the middle; None where the middle half has none."""
    lowest, highest = max(1, len(ids) // 4), 3 * len(ids) // 4
    places = sorted(range(lowest, highest + 1), key=lambda at: abs(2 * at - len(ids)))
    return next((at for at in places if _ends(ids, at, decode)), None)


def _ends(ids: Sequence[int], at: int, decode: Decode) -> bool:
    start = max(0, at - TAIL_TOKENS)
    tail = decode(ids[start:at])
    more = decode(ids[start : at + 1])[len(tail) :]  # decoded together: alone, a token may lose its space
    if not tail.strip() or tail[-1].isspace():
        return False
    ends_before_space = SENTENCE_END.search(tail) is not None and more[:1].isspace()
    return ends_before_space or more.startswith("\n") or UNSPACED_END.search(tail) is not None


def _words(reason: Reason) -> str:
    return reason.value.replace("_", " ")
