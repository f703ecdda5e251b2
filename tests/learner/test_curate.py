"""Of curation: what may not teach is left out for a reason that is counted, and all that may is a row that can be traced."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path

import msgspec
import pytest

from learner.config import CurateSettings, TrainSettings, TrustSettings
from learner.curate.choose import Chooser, Chosen, Known
from learner.curate.clean import Cleaner
from learner.curate.dataset import manifest
from learner.curate.decontaminate import Overlap
from learner.curate.pii import describe, redact
from learner.curate.split import split_of
from learner.curate.tools import objection
from learner.evaluate.suite import load_suites
from learner.policy import load_policy
from learner.rows import Row, RowKind, Split, read_rows, write_rows
from storage.records import Decision, Evidence, Message, MessageStatus, Reason, Role
from tests.learner.tiny import LetterTokens, corrections, replays, thumbs
from tests.learner.voters import TOPICS
from tests.learner.world import TRUSTING

SUITES = load_suites()
OVERLAP = Overlap(SUITES)
CLEANER = Cleaner(OVERLAP, load_policy().judge, redact, describe, partial(objection, languages=()))
NUMBERS = count(1)
SHORT = "What is the capital city of Italy?"  # a whole frozen item, of seven words
INNOCENT = "Which shoes go with a green raincoat?"
DAY_S = 24 * 3600.0
NOW_S = 100 * DAY_S


def said(
    person_id: str = "ada",
    thumb: str | None = "up",
    correction: str | None = None,
    question: str = INNOCENT,
    at_s: float = NOW_S,
    reasons: tuple[Reason, ...] = (),
    **more: object,
) -> Evidence:
    """A served answer, unlike any other, with what its owner said of it."""
    number = next(NUMBERS)
    asked = Message(f"q{number}", "c", "p", None, Role.USER, question, MessageStatus.COMPLETE, 1.0)
    told = f"Those with {' and '.join(random.Random(number).sample(TOPICS, 6))}."
    answer = Message(
        f"m{number}", f"c-{person_id}", "p", asked.id, Role.ASSISTANT, told, MessageStatus.COMPLETE, 2.0,
        adapter="r1", engine_model="r1", prompt_token_ids=(1, 2, number), token_ids=(3, 4),
    )  # fmt: skip
    return Evidence(msgspec.structs.replace(answer, **more), person_id, (asked,), thumb, reasons, None, correction, at_s, number)


def choose(
    *evidence: Evidence,
    per_person: int = 20,
    heldout_share: float = 0.25,
    trust: TrustSettings = TRUSTING,
    max_row_tokens: int = 32,
    created_at_s: float = 0.0,
    **known: object,
) -> Chosen:
    curate = CurateSettings(max_rows_per_person=per_person, heldout_share=heldout_share, trust=trust)
    chooser = Chooser(CLEANER, LetterTokens(), curate, TrainSettings(max_row_tokens=max_row_tokens))  # type: ignore[arg-type]
    accounts = {item.person_id: created_at_s for item in evidence}
    return chooser.choose(evidence, chooser.prepare(evidence), Known(NOW_S, accounts, **known))  # type: ignore[arg-type]


def reasons(*evidence: Evidence) -> list[str]:
    return [drop.reason for drop in choose(*evidence, max_row_tokens=1000).dropped]


def test_a_vote_becomes_a_row_of_the_very_tokens_that_were_served() -> None:
    item = said("ada", "down", prompt_token_ids=(5, 6), token_ids=(7, 8))
    chosen = choose(item)
    assert chosen.dropped == [] and chosen.transformations == {}
    assert chosen.rows == [
        Row(item.message.id, "ada", RowKind.THUMB, split_of("ada", 0.25), 1.0, (5, 6), (7, 8), label=-1, drawn_by="r1")
    ]


def test_a_row_keeps_the_temperature_of_drawing_which_is_1_where_nobody_knows_it() -> None:
    for correction in (None, "Red ones are best."):
        for kept, expected in ((0.7, 0.7), (0.0, 0.0), (None, 1.0)):
            [row] = choose(said(correction=correction, temperature=kept)).rows
            assert row.temperature == expected


def test_a_correction_becomes_a_pair_that_keeps_the_vote() -> None:
    [row] = choose(said(thumb="down", correction="Red ones are best.")).rows
    assert (row.kind, row.label, row.better_ids) == (RowKind.CORRECTION, -1, (*map(ord, "Red ones are best."), 0))
    [unvoted] = choose(said(thumb=None, correction="Red ones are best.")).rows
    assert (unvoted.kind, unvoted.label) == (RowKind.CORRECTION, 0)


def rival_of(item: Evidence, **more: object) -> Message:
    """Another served answer to the same question."""
    fields = {"id": f"{item.message.id}-other", "content": "Those that nobody else has on today.", "token_ids": (8, 9), **more}
    return msgspec.structs.replace(item.message, **fields)


def preferred(item: Evidence, **more: object) -> Evidence:
    return msgspec.structs.replace(item, preferred_over=rival_of(item, **more))


def test_a_preference_becomes_a_pair_of_two_served_answers() -> None:
    for thumb in (None, "up"):
        item = preferred(said("ada", thumb, prompt_token_ids=(5, 6), token_ids=(7, 0)))
        [row] = choose(item).rows
        assert (row.kind, row.label, row.id) == (RowKind.PREFERENCE, 0, item.message.id)
        assert (row.prompt_ids, row.answer_ids, row.better_ids) == ((5, 6), (8, 9), (7, 0))


def test_a_preference_for_what_is_disliked_or_corrected_is_only_the_vote_or_the_correction() -> None:
    [row] = choose(preferred(said(thumb="down"))).rows
    assert (row.kind, row.label, row.better_ids) == (RowKind.THUMB, -1, ())
    [row] = choose(preferred(said(thumb="up", correction="Red ones are best."))).rows
    assert row.kind is RowKind.CORRECTION and LetterTokens().decode(row.better_ids) == "Red ones are best.\0"


@pytest.mark.parametrize("more", [{"parent_id": "elsewhere"}, {"conversation_id": "c2"}, {"engine_model": "r9"}, {"token_ids": ()}])
def test_a_preference_over_anything_but_a_served_answer_to_the_same_is_none(more: dict[str, object]) -> None:
    [drop] = choose(preferred(said(thumb=None), **more)).dropped
    assert drop.reason == "preferred over no answer to the same question"
    [row] = choose(preferred(said(thumb="up"), **more)).rows
    assert (row.kind, row.label) == (RowKind.THUMB, 1)


def test_a_preference_is_cleaned_and_weighed_like_a_vote() -> None:
    assert reasons(preferred(said(thumb=None), content=SUITES[1].items[0].prompt[0].content)) == ["overlaps a frozen eval item"]
    assert reasons(preferred(said(thumb=None, content="no " * 12))) == ["repeats itself"]
    assert reasons(preferred(said(thumb=None), token_ids=tuple(range(1001)))) == ["too long"]
    item = preferred(said(thumb=None), content="Write to ann.lee@example.org, who knows a lot about shoes of all kinds.")
    chosen = choose(item, max_row_tokens=1000)
    assert "example.org" not in LetterTokens().decode(chosen.rows[0].answer_ids)
    assert chosen.transformations == {item.message.id: ("redacted 1 e-mail address",)}


def test_a_held_out_vote_judges_as_a_vote_whatever_else_was_said() -> None:
    both = preferred(said(thumb="up")), said(thumb="down", reasons=(Reason.TOO_LONG,), finish_reason="length")
    rows = choose(*both, heldout_share=1.0).rows
    assert [(row.kind, row.split, row.label, row.weight) for row in rows] == [
        (RowKind.THUMB, Split.HELDOUT, 1, 1.0), (RowKind.THUMB, Split.HELDOUT, -1, 1.0),
    ]  # fmt: skip


def test_reasons_shape_what_teaches_and_the_manifest_says_so() -> None:
    told = "One is brown. Two is black. Three is green."
    ids = tuple(LetterTokens().answer(told))
    item = said(thumb="down", reasons=(Reason.TOO_LONG,), content=told, token_ids=ids)
    cut = said(thumb="down", reasons=(Reason.INCOMPLETE,), finish_reason="length")
    rude = said(thumb="down", reasons=(Reason.IMPROPER,))
    chosen = choose(item, cut, rude, max_row_tokens=1000)
    assert [drop.reason for drop in chosen.dropped] == ["incomplete or too short, but it was its limit that ended it"]
    short, improper = chosen.rows
    assert (short.label, LetterTokens().decode(short.answer_ids), short.lesson_from) == (1, "One is brown. Two is black.\0", 27)
    assert (improper.label, improper.weight, chosen.transformations[improper.id]) == (-1, 2.0, ("improper ×2",))


def test_a_refusal_that_the_policy_wants_weighs_no_more_and_none_is_ever_turned_into_what_to_say() -> None:
    def refused(question: str) -> Row:
        content = "I'm sorry, but I can't help with that."
        [row] = choose(
            said(thumb="down", question=question, content=content, reasons=(Reason.REFUSED_NEEDLESSLY,)), max_row_tokens=1000
        ).rows
        return row

    assert (refused(INNOCENT).label, refused(INNOCENT).weight) == (-1, 1.5)
    rules = [rule for rule in load_policy().rules if rule.is_about("prompt") and rule.action == "refuse"]
    broken = next(case.prompt for rule in rules for case in rule.examples if case.breaks and not case.answer)
    assert (refused(broken).label, refused(broken).weight) == (-1, 1.0)


def test_a_liked_answer_that_its_limit_ended_never_teaches_to_end_there() -> None:
    content = "Write to ann.lee@example.org, who knows a lot about shoes of all kinds."
    for ids, ends in (((3, 4), False), ((3, 0), True)):
        [row] = choose(said(content=content, token_ids=ids, finish_reason="stop" if ends else "length"), max_row_tokens=1000).rows
        assert "example.org" not in LetterTokens().decode(row.answer_ids)
        assert (row.answer_ids[-1] == 0) == ends


SERVED = "not known to be a served version's own words"
TWIN = said()
UNFIT = [
    pytest.param([said(thumb=None)], "no vote or correction", id="comment only"),
    pytest.param([said(thumb=None, correction="")], "no vote or correction", id="correction taken back"),
    pytest.param([said(adapter=None)], SERVED, id="no adapter"),
    pytest.param([said(engine_model="r2")], SERVED, id="written by another version"),
    pytest.param([said(engine_model=None)], SERVED, id="written by nobody knows what"),
    pytest.param([said(token_ids=())], SERVED, id="no tokens"),
    pytest.param([said(token_ids=tuple(range(30)))], "too long", id="too long"),
    pytest.param([said(correction="A correction of more than thirty-two letters.")], "too long", id="correction too long"),
    pytest.param([TWIN, TWIN], "duplicate", id="duplicate"),
    pytest.param([said("eve", "up") for _ in range(21)], "over the person's limit", id="over the limit"),
    pytest.param([said(finish_reason="length", content="They go with boots and the")], "cut off", id="cut off"),
    pytest.param([said(question=SUITES[1].items[0].prompt[0].content)], "overlaps a frozen eval item", id="eval item"),
]


@pytest.mark.parametrize(("evidence", "reason"), UNFIT)
def test_what_may_not_teach_is_left_out_and_named(evidence: list[Evidence], reason: str) -> None:
    chosen = choose(*evidence)
    [drop] = chosen.dropped
    assert (drop.id, drop.person_id, drop.reason) == (evidence[0].message.id, evidence[0].person_id, reason)
    assert len(chosen.rows) == len(evidence) - 1


def test_everything_is_either_kept_or_counted_and_the_manifest_has_both() -> None:
    evidence = [said(f"person-{n}", thumb) for n in range(8) for thumb in ("up", "down", None)]
    chosen = choose(*evidence)
    assert len(chosen.rows) + len(chosen.dropped) == len(evidence)
    listed = manifest("d", chosen.rows, chosen.dropped, chosen.transformations)
    assert Counter(row.drop_reason for row in listed if row.drop_reason) == {"no vote or correction": 8}
    assert [row.number for row in listed] == [*range(24)]
    assert {row.message_id for row in listed} == {item.message.id for item in evidence}
    assert {(row.split, row.weight) for row in listed if row.drop_reason} == {("dropped", 0.0)}


def test_of_a_person_who_votes_a_lot_the_newest_count_in_the_order_they_came() -> None:
    eager, other = [said("eve") for _ in range(6)], said("bob")
    chosen = choose(*eager[:3], other, *eager[3:], per_person=2)
    assert [row.id for row in chosen.rows] == [other.message.id, *(item.message.id for item in eager[-2:])]
    assert [drop.id for drop in chosen.dropped] == [item.message.id for item in eager[:-2]]


def test_a_row_that_is_left_out_does_not_use_up_its_persons_limit() -> None:
    kept, unfit = said("eve"), [said("eve", adapter=None) for _ in range(5)]
    assert [row.id for row in choose(kept, *unfit, per_person=1).rows] == [kept.message.id]


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
    rows = choose(*(said(f"person-{n}") for _ in range(3) for n in range(20))).rows
    sides = {(row.person_id, row.split) for row in rows}
    assert len(sides) == 20 and len({split for _, split in sides}) == 2


def test_what_is_redacted_is_tokenised_anew_and_the_manifest_says_so() -> None:
    asked = "Please write to ann.lee@example.org that the raincoat has arrived in our shop"
    item = said(question=asked, content="Dear Ann, the raincoat that you have ordered is here.", token_ids=(3, 4))
    chosen = choose(item, max_row_tokens=1000)
    [row] = chosen.rows
    shown = LetterTokens().decode(row.prompt_ids)
    assert "raincoat" in shown and "example.org" not in shown
    assert row.answer_ids == (3, 4), "the answer had nothing to hide"
    [told] = manifest("d", chosen.rows, [], chosen.transformations)
    assert told.transformations == ("redacted 1 e-mail address",)


HELD = {"new here: waits 12 h"}


def test_who_is_new_waits_unless_an_operator_says_otherwise() -> None:
    item, known = said("new"), {"trust": TrustSettings(new_person_wait_s=DAY_S / 2), "created_at_s": NOW_S - DAY_S / 4}
    [drop] = choose(item, **known).dropped  # type: ignore[arg-type]
    assert drop.held and {drop.reason} == HELD
    assert len(choose(item, decisions={item.message.id: Decision.ACCEPTED}, **known).rows) == 1  # type: ignore[arg-type]
    later = choose(item, trust=TrustSettings(), created_at_s=NOW_S - 2 * DAY_S)
    assert len(later.rows) == 1


def test_what_an_operator_rejected_never_teaches() -> None:
    item = said()
    [drop] = choose(item, decisions={item.message.id: Decision.REJECTED}).dropped
    assert (drop.reason, drop.held) == ("rejected by an operator", False)


def test_who_is_often_rejected_weighs_less() -> None:
    wrong, right = [said("eve") for _ in range(6)], [said("ada") for _ in range(6)]
    decided = {item.message.id: Decision.REJECTED for item in wrong[:5]}
    decided |= {item.message.id: Decision.ACCEPTED for item in right[:5]}
    weights = {row.person_id: row.weight for row in choose(*wrong, *right, decisions=decided).rows}
    assert weights["eve"] < 0.7 * weights["ada"]


def test_many_honest_people_who_come_at_once_are_all_learnt_from() -> None:
    """As when a team is told of the service, or people made of code try it: accounts of the same minute, votes of the same hour."""
    chance = random.Random(3)
    questions = [f"{ask} {topic}?" for topic in TOPICS for ask in ("Tell me one thing about", "In a few words, what is it about")]
    begun_s = NOW_S - DAY_S
    evidence = [
        said(f"person-{n % 40}", chance.choice(("up", "down", "down")), question=chance.choice(questions), at_s=begun_s + n / 2)
        for n in range(320)
    ]
    chosen = choose(*evidence, trust=TrustSettings(), created_at_s=begun_s, max_row_tokens=1000)
    assert [drop.reason for drop in chosen.dropped if drop.held] == []
    assert len(chosen.rows) >= 0.9 * len(evidence)
    assert chosen.effective > 100


def test_the_same_evidence_gives_the_same_rows_to_the_byte(tmp_path: Path) -> None:
    evidence = [said(f"person-{n % 7}", ("up", "down")[n % 3 == 0], at_s=NOW_S - n * DAY_S) for n in range(40)]
    for name in ("one", "two"):
        write_rows(tmp_path / name, choose(*evidence).rows)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


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
