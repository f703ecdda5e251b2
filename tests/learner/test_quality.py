"""Of quality: what nobody should learn to say is named, and what people write passes."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.curate.example import Example, Said
from learner.curate.quality import CUT_OFF, REPEATS, TOO_LONG, TOO_SHORT, UNREADABLE, WRONG_SCRIPT, objection
from tests.conftest import SHARED_DATA

ARTICLE = (
    "The museum opens at nine and closes at five, except on Mondays, when it stays shut all day. Children under twelve get in for "
    "nothing, and students pay half. A guided tour starts every hour from the main hall; no booking is needed unless you come with "
    "more than ten people. Bags larger than a backpack go into the lockers by the stairs, which take a coin that you get back."
)


def liked(answer: str, question: str = "Tell me about the museum.", **more: object) -> Example:
    example = Example("m", "ada", "c", (Said("user", question),), answer, "up", None, (), 1.0)
    return msgspec.structs.replace(example, **more)


BAD = [
    (TOO_SHORT, ["", " \n", "x", "...", "?!", "*", "-"]),
    (TOO_LONG, [" ".join(str(number) for number in range(30_000))]),
    (
        REPEATS,
        [
            "no " * 12,
            "I am sorry. " * 6,
            "The cat sat. The cat sat. The cat sat. The cat sat. The c",
            ARTICLE[:60] + " and then it went on" * 10,
            (ARTICLE + "\n") * 8,
            "Yes, it is.\n" * 12,
            (ARTICLE + " ") * 2,
            "red blue " * 100,
            "\n".join(f"The item number {'one' if n % 2 else 'two'} is good" for n in range(20)),
        ],
    ),
    (
        UNREADABLE,
        [
            "\x00\x01\x02\x03 what",
            "caf\ufffd na\ufffdve d\ufffdj\ufffd vu",
            "cafÃ© naÃ¯ve dÃ©jÃ\xa0 vu Ã©tÃ©",
            "#$%^&*()!@#$%^&*()_#$%^&*",
            "a" * 400,
            "\ue000\ue001\ue002 private",
            "donâ€™t itâ€™s isnâ€™t",
        ],
    ),
    (WRONG_SCRIPT, ["Музей открывается в девять часов утра.", "博物馆九点开门，五点关门，星期一休息。"]),
]
GOOD = [
    "4",
    "Paris",
    "Yes.",
    "是",
    "😊",
    "42.",
    "No, no, no!",
    "Ha ha ha ha!",
    ARTICLE,
    "naïve café, déjà vu — “quoted” …",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "- milk\n- eggs\n- flour\n- butter\n- sugar\n- salt\n- yeast\n- water\n- oil",
    "```python\nfor i in range(10):\n    print(i)\n```",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    "0 0 0 0 0 0 0 0 0 0 0 0",
    "a² + b² = c², x ≤ y → ∀z ∈ ℝ",
    "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.",
    "Donaudampfschifffahrtsgesellschaftskapitän",
]


@pytest.mark.parametrize(("reason", "answer"), [(reason, answer) for reason, answers in BAD for answer in answers])
def test_what_nobody_should_learn_to_say_is_named(reason: str, answer: str) -> None:
    assert objection(liked(answer)) == reason
    assert objection(liked(ARTICLE, correction=answer or " ", thumb="down")) == reason


@pytest.mark.parametrize("answer", GOOD)
def test_what_people_say_passes(answer: str) -> None:
    assert objection(liked(answer)) is None
    assert objection(liked("", thumb=None, correction=answer)) is None


@pytest.mark.parametrize("answer", [answer for _, answers in BAD for answer in answers])
def test_a_bad_answer_that_was_voted_down_stays_as_what_not_to_say(answer: str) -> None:
    assert objection(liked(answer, thumb="down")) is None
    assert objection(liked(answer, thumb="down", correction=ARTICLE)) is None


@pytest.mark.parametrize(
    "answer", ["It opens at nine and clo", "First, take the", "Here it is:\n```python\nprint(1)", "- milk\n- egg", "```\nx = [1]\n"]
)
def test_an_answer_that_ends_in_the_middle_at_its_limit_is_cut_off(answer: str) -> None:
    assert objection(liked(answer, finish_reason="length")) == CUT_OFF
    assert objection(liked(answer, finish_reason="stop")) is None
    assert objection(liked(answer, finish_reason=None)) is None
    assert objection(liked(answer, finish_reason="length", thumb="down", correction=ARTICLE)) is None


@pytest.mark.parametrize(
    "answer", ["It opens at nine.", "Does it?", "He said “no.”", "```\nx = 1\n```", "好的。", "(see above)", "It is so…\n"]
)
def test_an_answer_that_ends_at_its_limit_by_chance_is_whole(answer: str) -> None:
    assert objection(liked(answer, finish_reason="length")) is None


@pytest.mark.parametrize(
    "question",
    [
        "Translate to Russian: the museum opens at nine.",
        "Say it in Cyrillic please.",
        "Что значит museum, если коротко?",
        "Hi! Как дела?",
        "?",
    ],
)
def test_another_script_that_somebody_asked_for_passes(question: str) -> None:
    assert objection(liked("Музей открывается в девять часов утра.", question)) is None


def test_latin_letters_are_everybodys() -> None:
    assert objection(liked("It opens at nine.", "Когда открывается музей? Ответь по-английски.")) is None


@given(st.lists(st.sampled_from(ARTICLE.split()), min_size=1, max_size=30), st.integers(12, 40))
@settings(deadline=None)
def test_a_loop_at_the_end_is_found_whatever_is_repeated(turn: list[str], turns: int) -> None:
    assert objection(liked("It is so: " + " ".join(turn * turns))) in (REPEATS, TOO_LONG)


@given(st.text(max_size=400))
@settings(deadline=None)
def test_any_text_gets_an_answer(text: str) -> None:
    assert objection(liked(text)) in (None, TOO_SHORT, REPEATS, UNREADABLE, WRONG_SCRIPT)


def test_words_in_no_order_do_not_repeat_themselves() -> None:
    chance = random.Random(3)
    words = [f"{chance.choice('bcdfgklmnprst')}{chance.choice('aeiou')}{chance.choice('lmnrst')}{n % 97}" for n in range(400)]
    assert objection(liked(" ".join(chance.sample(words, 300)))) is None


@pytest.mark.parametrize(("file", "key"), [("prompts", "reference"), ("hh_harmless", "chosen")])
def test_what_people_wrote_or_preferred_passes(file: str, key: str) -> None:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is not here")
    records = [json.loads(line) for line in (SHARED_DATA / f"{file}.jsonl").read_text().splitlines()]
    asked = [record["prompt"] if isinstance(record["prompt"], str) else record["prompt"][-1]["content"] for record in records]
    objections = [objection(liked(record[key], question)) for record, question in zip(records, asked, strict=True)]
    assert sum(reason is not None for reason in objections) <= 0.02 * len(records)
