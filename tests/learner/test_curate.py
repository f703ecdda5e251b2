"""Of curation: what may not teach is left out for a reason that is counted, and a person is on one side only."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path

import msgspec
import pytest

from learner.config import CurateSettings, TrainSettings
from learner.curate.dataset import Dropped, choose, draw_replay, manifest
from learner.curate.decontaminate import Overlap
from learner.curate.split import split_of
from learner.evaluate.suite import load_suites
from learner.rows import Row, RowKind, Split, read_rows, write_rows
from storage.records import Evidence, Message, MessageStatus, Role
from tests.learner.tiny import LetterTokens, corrections, replays, thumbs

SUITES = load_suites()
OVERLAP = Overlap(SUITES)
NUMBERS = count(1)
INNOCENT = "Which shoes go with a green raincoat?"
SHORT = "What is the capital city of Italy?"  # a whole frozen item, of seven words


def said(
    person_id: str = "ada",
    thumb: str | None = "up",
    correction: str | None = None,
    question: str = INNOCENT,
    **more: object,
) -> Evidence:
    """A served answer, unlike any other, with what its owner said of it."""
    number = next(NUMBERS)
    asked = Message(f"q{number}", "c", "p", None, Role.USER, question, MessageStatus.COMPLETE, 1.0)
    answer = Message(
        f"m{number}", "c", "p", asked.id, Role.ASSISTANT, "Brown ones.", MessageStatus.COMPLETE, 2.0,
        adapter="r1", engine_model="r1", prompt_token_ids=(1, 2, number), token_ids=(3, 4),
    )  # fmt: skip
    return Evidence(msgspec.structs.replace(answer, **more), person_id, (asked,), thumb, None, correction, 3.0, number)


def chosen(*evidence: Evidence, per_person: int = 20, heldout_share: float = 0.25) -> tuple[list[Row], list[Dropped]]:
    curate = CurateSettings(max_rows_per_person=per_person, heldout_share=heldout_share)
    return choose(evidence, OVERLAP, LetterTokens(), curate, TrainSettings(max_row_tokens=16))


def reasons(*evidence: Evidence) -> list[str]:
    return [drop.reason for drop in chosen(*evidence)[1]]


def test_a_vote_becomes_a_row_of_the_very_tokens_that_were_served() -> None:
    item = said("ada", "down", prompt_token_ids=(5, 6), token_ids=(7, 8))
    [row], dropped = chosen(item)
    assert dropped == []
    assert row == Row(item.message.id, "ada", RowKind.THUMB, split_of("ada", 0.25), 1.0, (5, 6), (7, 8), label=-1)


def test_a_correction_becomes_a_pair_that_keeps_the_vote() -> None:
    [row], _ = chosen(said(thumb="down", correction="Red."))
    assert (row.kind, row.label, row.better_ids) == (RowKind.CORRECTION, -1, (*map(ord, "Red."), 0))
    [unvoted], _ = chosen(said(thumb=None, correction="Red."))
    assert (unvoted.kind, unvoted.label) == (RowKind.CORRECTION, 0)


SERVED = "not known to be a served version's own words"
TWIN = said()
UNFIT = [
    pytest.param([said(thumb=None)], "no vote or correction", id="comment only"),
    pytest.param([said(thumb=None, correction="")], "no vote or correction", id="correction taken back"),
    pytest.param([said(adapter=None)], SERVED, id="no adapter"),
    pytest.param([said(engine_model="r2")], SERVED, id="written by another version"),
    pytest.param([said(engine_model=None)], SERVED, id="written by nobody knows what"),
    pytest.param([said(token_ids=())], SERVED, id="no tokens"),
    pytest.param([said(token_ids=tuple(range(14)))], "too long", id="too long"),
    pytest.param([said(correction="A correction of more than sixteen letters.")], "too long", id="correction too long"),
    pytest.param([TWIN, TWIN], "duplicate", id="duplicate"),
    pytest.param([said("eve", "up") for _ in range(21)], "over the person's limit", id="over the limit"),
    pytest.param([said(question=SUITES[1].items[0].prompt[0].content)], "overlaps a frozen eval item", id="eval item"),
]


@pytest.mark.parametrize(("evidence", "reason"), UNFIT)
def test_what_may_not_teach_is_left_out_and_named(evidence: list[Evidence], reason: str) -> None:
    rows, [drop] = chosen(*evidence)
    assert (drop.id, drop.person_id, drop.reason) == (evidence[0].message.id, evidence[0].person_id, reason)
    assert len(rows) == len(evidence) - 1


def test_everything_is_either_kept_or_counted_and_the_manifest_has_both() -> None:
    evidence = [said(f"person-{n}", thumb) for n in range(8) for thumb in ("up", "down", None)]
    rows, dropped = chosen(*evidence)
    assert len(rows) + len(dropped) == len(evidence)
    listed = manifest("d", rows, dropped)
    assert Counter(row.drop_reason for row in listed if row.drop_reason) == {"no vote or correction": 8}
    assert [row.number for row in listed] == [*range(24)]
    assert {row.message_id for row in listed} == {item.message.id for item in evidence}
    assert {(row.split, row.weight) for row in listed if row.drop_reason} == {("dropped", 0.0)}


def test_of_a_person_who_votes_a_lot_the_newest_count_in_the_order_they_came() -> None:
    eager, other = [said("eve") for _ in range(6)], said("bob")
    rows, dropped = chosen(*eager[:3], other, *eager[3:], per_person=2)
    assert [row.id for row in rows] == [other.message.id, *(item.message.id for item in eager[-2:])]
    assert [drop.id for drop in dropped] == [item.message.id for item in eager[:-2]]


def test_a_row_that_is_left_out_does_not_use_up_its_persons_limit() -> None:
    kept, unfit = said("eve"), [said("eve", adapter=None) for _ in range(5)]
    assert [row.id for row in chosen(kept, *unfit, per_person=1)[0]] == [kept.message.id]


def long_item_texts() -> list[str]:
    """One text of at least eight words of each suite."""
    texts = []
    for suite in SUITES:
        in_suite = [text for item in suite.items for text in (*(turn.content for turn in item.prompt), item.text)]
        texts.append(next(text for text in in_suite if len(text.split()) >= 10))
    return texts


@pytest.mark.parametrize("text", long_item_texts())
def test_a_frozen_item_is_never_trained_on_wherever_it_is_planted(text: str) -> None:
    shouted = text.upper().replace(" ", "  ")
    inside = f"My homework, please be quick: {text} Thank you!"
    half = " ".join(text.split()[:9]) + " and so on"
    for planted in (text, shouted, inside, half):
        everywhere = (
            said(question=planted),
            said(content=planted),
            said(question="ok", thumb=None, correction=planted),
        )
        planted_in = [reason for item in everywhere for reason in reasons(item)]
        assert planted_in == ["overlaps a frozen eval item"] * 3, planted


def test_a_short_frozen_item_is_found_by_itself_however_it_is_spelt() -> None:
    assert SHORT in OVERLAP and SHORT.lower().rstrip("?") in OVERLAP and f"  {SHORT}!" in OVERLAP
    assert INNOCENT not in OVERLAP


def test_a_short_frozen_item_inside_a_longer_text_is_found() -> None:
    """What `Overlap` promises: texts that contain a frozen item's text."""
    assert f"Hello! {SHORT} Please tell me." in OVERLAP


def test_a_person_is_always_on_the_same_side_and_about_the_asked_share_judges() -> None:
    people = [f"person-{number}" for number in range(2000)]
    sides = [split_of(person, 0.25) for person in people]
    assert sides == [split_of(person, 0.25) for person in people]
    assert 0.22 < sides.count(Split.HELDOUT) / 2000 < 0.28
    assert set(sides) == {Split.TRAIN, Split.HELDOUT}
    assert split_of("ada", 0.0) is Split.TRAIN and split_of("ada", 1.0) is Split.HELDOUT


def test_who_judges_keeps_judging_when_more_are_asked_to() -> None:
    people = [f"person-{number}" for number in range(200)]
    assert all(split_of(p, 0.5) is Split.HELDOUT for p in people if split_of(p, 0.25) is Split.HELDOUT)


def test_all_rows_of_a_person_are_on_one_side() -> None:
    rows, _ = chosen(*(said(f"person-{n}") for _ in range(3) for n in range(20)))
    sides = {(row.person_id, row.split) for row in rows}
    assert len(sides) == 20 and len({split for _, split in sides}) == 2


def test_replay_is_of_earlier_training_rows_once_each_without_votes_or_corrections() -> None:
    judged = [msgspec.structs.replace(row, split=Split.HELDOUT) for row in replays(5)]
    earlier = [*thumbs(10), *corrections(5), *judged]
    taken = {"thumb-0", "correction-1"}
    drawn = draw_replay(earlier, taken, 100, seed=1)
    assert Counter(row.id for row in drawn) == Counter({row.id for row in earlier[:15]} - taken)
    assert {(row.kind, row.label, row.better_ids) for row in drawn} == {(RowKind.REPLAY, 0, ())}
    answers = {row.id: (row.prompt_ids, row.answer_ids) for row in earlier}
    assert all(answers[row.id] == (row.prompt_ids, row.answer_ids) for row in drawn)


def test_replay_draws_as_many_as_asked_and_the_same_for_a_cycle_that_is_run_again() -> None:
    earlier = thumbs(30)
    drawn = draw_replay(earlier, set(), 7, seed=4)
    assert len(drawn) == len({row.id for row in drawn}) == 7
    assert drawn == draw_replay(earlier, set(), 7, seed=4) != draw_replay(earlier, set(), 7, seed=5)
    assert draw_replay(earlier, set(), 0, seed=4) == draw_replay([], set(), 7, seed=4) == []


def test_rows_read_are_the_rows_written(tmp_path: Path) -> None:
    rows = [*thumbs(3), *corrections(3), *replays(3)]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert list(read_rows(tmp_path / "rows.jsonl")) == rows


@pytest.mark.parametrize("broken", [b"{", b"", b"{}", b'{"id": 1}', b'{"id": "\xff"}'])
def test_a_line_that_is_not_a_row_is_named(tmp_path: Path, broken: bytes) -> None:
    write_rows(tmp_path / "rows.jsonl", thumbs(4))
    lines = (tmp_path / "rows.jsonl").read_bytes().splitlines()
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join([*lines[:2], broken, *lines[2:]]))
    with pytest.raises(ValueError, match=r"rows\.jsonl line 3 is not a row"):
        list(read_rows(tmp_path / "rows.jsonl"))
