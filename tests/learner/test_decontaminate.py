"""Of promise 8: whatever a row shows of a frozen item is found, however it is written, and nothing else is."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.curate.decontaminate import MIN_ANSWER_WORDS, Overlap, proof
from learner.curate.words import fold, words
from learner.evaluate.suite import Item, Turn, load_suites
from tests.conftest import SHARED_DATA

STEADY = settings(max_examples=50, deadline=None, derandomize=True)
SUITES = load_suites()
ITEMS = [(f"{suite.name}/{item.id}", item) for suite in SUITES for item in suite.items]
OVERLAP = Overlap(SUITES)
SHORT = "What is the capital city of Italy?"  # a whole frozen item, of seven words
LOOK_ALIKES = str.maketrans("aeopcxyiTHMABEKOPCX", "аеорсхуіТНМАВЕКОРСХ")
FULL_WIDTH = str.maketrans({code: code + 0xFEE0 for code in range(0x21, 0x7F)})


def shown(item: Item) -> list[str]:
    """Texts by which an item can be recognised."""
    return [text for text in (*(turn.content for turn in (*item.prompt, *item.neutral)), item.text) if text]


TEXTS = [(name, text) for name, item in ITEMS for text in shown(item)]


def disguises(text: str) -> list[str]:
    return [
        text.upper(),
        text.replace(" ", " \n\t"),
        text.replace(" ", " – "),
        f"**{text.replace(' ', '_')}**",
        "\u200b".join(text),
        text.replace("e", "e\u00ad"),
        "".join(letter + "\u0301" for letter in text),
        text.translate(LOOK_ALIKES),
        text.translate(FULL_WIDTH),
        text.replace("i", "ı").replace("o", "ό"),
    ]


def test_every_text_of_every_item_is_found_and_named() -> None:
    by_text: dict[str, set[str]] = {}
    for name, text in TEXTS:
        by_text.setdefault(fold(text), set()).add(name)
    assert len(TEXTS) > 1000
    found = {text: OVERLAP.find(text) for _, text in TEXTS}
    assert None not in found.values()
    assert all(found[text].split("/")[0] in {suite.name for suite in SUITES} for text in found)
    assert sum(found[text] in by_text[fold(text)] for text in found) > 0.9 * len(found)  # others begin with the same words


@STEADY
@given(st.sampled_from([text for _, text in TEXTS]), st.text(max_size=60), st.text(max_size=60))
def test_an_item_is_found_inside_any_text(text: str, before: str, after: str) -> None:
    assert f"{before} {text} {after}" in OVERLAP


@STEADY
@given(st.sampled_from([text for _, text in TEXTS]))
def test_a_disguise_does_not_help(text: str) -> None:
    assert [disguise for disguise in disguises(text) if disguise not in OVERLAP] == []


@STEADY
@given(st.sampled_from([text for _, text in TEXTS if len(words(text)) > 12]), st.integers(0, 1000))
def test_a_part_of_eight_words_is_found_and_one_of_seven_is_not_looked_for(text: str, seed: int) -> None:
    said = words(text)
    at = random.Random(seed).randrange(len(said) - 8)
    assert " ".join(said[at : at + 8]) in OVERLAP
    alone = Overlap([msgspec.structs.replace(SUITES[0], items=(Item("i", "f", "s", text=text),))])
    assert " ".join(said[at : at + 7]) not in alone


def test_a_short_frozen_item_is_found_by_itself_however_it_is_spelt() -> None:
    assert SHORT in OVERLAP and SHORT.lower().rstrip("?") in OVERLAP and f"  {SHORT}!" in OVERLAP
    assert "Which shoes go with a green raincoat?" not in OVERLAP


def test_a_short_frozen_item_inside_a_longer_text_is_found() -> None:
    assert f"Hello! {SHORT} Please tell me." in OVERLAP


CHOICES = ("Rome", "Milan", "Venice", "Naples")
ASKED = (Turn("user", "Well?"),)
CHOICE = Item("i1", "f", "s", prompt=ASKED, choices=CHOICES, answer=0)
RIGHT = "I would rather tell you how locks are made than how to pick them."
ANSWERED = Item(
    "i2", "f", "s", prompt=ASKED, choices=(RIGHT, "Sure, first bend a hairpin until it fits and then turn it."), answer=0
)
SMALL = Overlap([msgspec.structs.replace(SUITES[0], name="small", items=(CHOICE, ANSWERED))])


@pytest.mark.parametrize("listed", ["{} {} {} {}", "{}, {}, {} or {}?", "a) {} b) {} c) {} d) {}", "1. {}\n2. {}\n3. {}\n4. {}"])
def test_all_choices_in_their_order_show_an_item_and_some_of_them_do_not(listed: str) -> None:
    assert SMALL.find(f"Is it {listed.format(*CHOICES)}") == "small/i1"
    assert SMALL.find(f"Is it {listed.format(*CHOICES[::-1])}") is None
    assert SMALL.find("Rome, Milan and Venice are cities.") is None


def test_of_two_whole_texts_either_shows_the_item() -> None:
    texts = ("The old man lost his way in the town.", "The young man lost his way in the town.")
    even = Overlap([msgspec.structs.replace(SUITES[0], name="even", items=(Item("e1", "f", "s", choices=texts),))])
    assert [even.find(f"He said: {text}") for text in texts] == ["even/e1", "even/e1"]


def test_a_right_answer_is_found_where_it_is_long_and_whole() -> None:
    assert SMALL.find(f"Well. {RIGHT}") == "small/i2"
    assert SMALL.find("I would rather tell you how locks are made than anything else.") is None
    assert SMALL.find("Rome.") is None
    assert SMALL.find(ANSWERED.choices[1]) is None  # the wrong one says nothing
    long = [
        item.choices[item.answer] for _, item in ITEMS if item.choices and len(words(item.choices[item.answer])) >= MIN_ANSWER_WORDS
    ]
    assert len(long) > 200 and all(answer in OVERLAP for answer in long)


def test_numbers_in_a_row_show_no_item() -> None:
    counting = Item("i3", "f", "s", choices=("1", "2", "3", "4"), answer=0)
    assert "1, 2, 3, 4, 5" not in Overlap([msgspec.structs.replace(SUITES[0], items=(counting,))])


def test_texts_of_other_alphabets_are_found_in_either_case() -> None:
    greek, russian, chinese = "Ποια είναι η πρωτεύουσα της Ελλάδας;", "Какая река самая длинная?", "世界上最高的山是什么"
    foreign = Overlap(
        [msgspec.structs.replace(SUITES[0], items=tuple(Item(text, "f", "s", text=text) for text in (greek, russian, chinese)))]
    )
    for text in (greek, russian, chinese):
        assert foreign.find(f"- {text.upper()} -") == f"{SUITES[0].name}/{text}"
    assert foreign.find("Какая гора самая высокая?") is None


def test_without_suites_nothing_overlaps() -> None:
    assert SHORT not in Overlap([]) and "" not in OVERLAP


def test_the_proof_names_each_suite_with_its_hash() -> None:
    assert proof(SUITES) == {suite.name: suite.sha256 for suite in SUITES} and len(proof(SUITES)) == len(SUITES) > 4


@pytest.mark.parametrize("file", ["prompts.jsonl", "gsm8k.jsonl", "hh_harmless.jsonl", "xstest.jsonl", "mt_bench.jsonl"])
def test_what_people_write_elsewhere_is_not_taken_for_an_item(file: str) -> None:
    if not (place := SHARED_DATA / file).exists():
        pytest.skip(f"{place} is not here")
    lines = place.read_text().splitlines()[:2000]
    assert sum(line in OVERLAP for line in lines) <= 0.002 * len(lines)


@STEADY
@given(st.text(max_size=200))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)
