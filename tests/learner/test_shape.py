"""Of reasons: each changes the row as the table in `learner/curate/shape.py` says, and nothing else."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from learner.config import CurateSettings
from learner.curate.shape import LIMITED, NO_SENTENCE, Shaped, middle_end, shape
from learner.rows import Row, RowKind, Split
from storage.records import Reason
from tests.learner.tiny import LetterTokens

TOKENS, END = LetterTokens(), 0
SETTINGS = CurateSettings(improper_weight=2.0, refused_weight=1.5)
LONG = "The first thing is this. The second is that. A third thing follows here. And then there is a fourth. And a fifth."
CONTENT = (Reason.WRONG, Reason.OFF_TOPIC, Reason.IMPROPER, Reason.STYLE, Reason.REFUSED_NEEDLESSLY)


def disliked(answer: str = LONG, ended: bool = True) -> Row:
    ids = tuple(TOKENS.answer(answer))
    return Row("m", "ada", RowKind.THUMB, Split.TRAIN, 0.8, (1, 2), ids if ended else ids[:-1], label=-1)


def shaped(row: Row, *reasons: Reason, ended: bool = True) -> Shaped:
    return shape(row, set(reasons), ended, END, TOKENS.decode, SETTINGS)


def test_without_a_reason_the_whole_answer_is_disliked() -> None:
    assert shaped(disliked()) == (disliked(), ())
    assert shaped(disliked(ended=False), ended=False) == (disliked(ended=False), ())


@pytest.mark.parametrize("reason", Reason)
def test_what_is_liked_or_has_no_vote_is_not_touched(reason: Reason) -> None:
    for label in (1, 0):
        row = replace(disliked(), label=label)
        assert shaped(row, reason) == (row, ())


def test_improper_and_refused_needlessly_weigh_more_and_change_nothing_else() -> None:
    row, notes = shaped(disliked(), Reason.IMPROPER)
    assert row == replace(disliked(), weight=1.6) and notes == ("improper ×2",)
    row, notes = shaped(disliked(), Reason.REFUSED_NEEDLESSLY)
    assert row == replace(disliked(), weight=1.2) and notes == ("refused needlessly ×1.5",)
    row, notes = shaped(disliked(), Reason.IMPROPER, Reason.REFUSED_NEEDLESSLY)
    assert row == replace(disliked(), weight=2.4) and len(notes) == 2


@pytest.mark.parametrize("reason", [Reason.INCOMPLETE, Reason.TOO_SHORT])
def test_what_ended_too_early_is_disliked_for_its_end_alone(reason: Reason) -> None:
    row, notes = shaped(disliked("So."), reason)
    assert row == replace(disliked("So."), lesson_from=3) and row.answer_ids[3] == END
    assert notes == (f"{reason.value.replace('_', ' ')}: only its end",)
    assert shaped(disliked("So", ended=False), reason, ended=False) == (None, (LIMITED,))


def test_what_is_too_long_teaches_an_end_after_a_sentence_near_the_middle() -> None:
    row, notes = shaped(disliked(), Reason.TOO_LONG)
    assert row is not None
    said = TOKENS.decode(row.answer_ids[: row.lesson_from])
    assert said in LONG and said.endswith(".") and 0.3 < len(said) / len(LONG) < 0.7
    assert (row.label, row.weight, row.answer_ids[row.lesson_from :]) == (1, 0.8, (END,))
    assert notes == (f"too long: an end after {len(said)} of {len(LONG) + 1} tokens",)


def test_what_is_too_long_and_was_ended_by_its_limit_teaches_the_same() -> None:
    assert shaped(disliked(ended=False), Reason.TOO_LONG, ended=False).row == shaped(disliked(), Reason.TOO_LONG).row


def test_what_has_no_sentence_to_end_after_goes() -> None:
    assert shaped(disliked("word " * 30), Reason.TOO_LONG) == (None, (NO_SENTENCE,))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("It costs 3.50 or 4. 50 in shops that sell it anywhere", None),
        ("Ask at example.com or elsewhere for more", None),
        ("- one thing\n- two things\n- three things\n- four", "- one thing\n- two things"),
        ("これは一つ目です。これは二つ目です。", "これは一つ目です。"),
        ('He said "this is it." Then he left us.', 'He said "this is it."'),
        ("So", None),
        ("", None),
    ],
)
def test_an_end_is_that_of_a_sentence_or_a_line(answer: str, expected: str | None) -> None:
    at = middle_end([ord(letter) for letter in answer], TOKENS.decode)
    assert (None if at is None else answer[:at]) == expected


@pytest.mark.parametrize("content", CONTENT)
@pytest.mark.parametrize("length", [Reason.TOO_LONG, Reason.TOO_SHORT, Reason.INCOMPLETE])
def test_a_reason_about_content_wins_over_one_about_length(content: Reason, length: Reason) -> None:
    assert shaped(disliked(), content, length) == shaped(disliked(), content)
    row = shaped(disliked(ended=False), content, length, ended=False).row
    assert row is not None and (row.label, row.lesson_from) == (-1, 0)


def test_a_correction_is_only_weighed() -> None:
    row = replace(disliked(), kind=RowKind.CORRECTION, better_ids=(5, END))
    assert shaped(row, Reason.TOO_LONG, Reason.IMPROPER) == (replace(row, weight=1.6), ("improper ×2",))
    assert shaped(row, Reason.TOO_SHORT) == (row, ())
