"""Of the one pass over examples: what each step may do, that they agree in any number of processes, and what they say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from learner.curate.clean import CHUNK, Breaches, Cleaner, clean
from learner.curate.example import Drop, Example, Said
from tests.learner.examples import example

MAIL = re.compile(r"\S+@\S+\w")
ITEM = "the capital of Ruritania"


class Broken(NamedTuple):
    rule: str
    action: str


class Tagged(NamedTuple):
    text: str
    found: dict[str, int]


def judge(prompt: str, answer: str) -> Broken | None:
    """Rules on what is said: no bombs, no curses, careful with pills, no addresses."""
    rules = {
        "bomb": ("no-bombs", "refuse"),
        "damn": ("no-curses", "replace"),
        "pills": ("careful", "flag"),
        "@": ("private", "flag"),
    }
    return next((Broken(*rule) for word, rule in rules.items() if word in answer), None)


def redact(text: str) -> Tagged:
    tagged, count = MAIL.subn("<e-mail address>", text)
    return Tagged(tagged, {"e-mail address": count} if count else {})


def describe(found: Mapping[str, int]) -> str:
    return ", ".join(f"redacted {count} {kind}" for kind, count in found.items())


def objection(made: Example) -> str | None:
    return "too short to teach" if made.thumb == "up" and len(made.answer) < 4 else None


class Items:
    def __contains__(self, text: object) -> bool:
        return ITEM in str(text)


def cleaner(breaches: Breaches = "negative") -> Cleaner:
    return Cleaner(Items(), judge, redact, describe, objection, breaches)


def one(made: Example, breaches: Breaches = "negative") -> Example | Drop:
    [outcome] = clean([made], cleaner(breaches))
    return outcome


def reason(made: Example, breaches: Breaches = "negative") -> str:
    outcome = one(made, breaches)
    assert isinstance(outcome, Drop) and (outcome.id, outcome.person_id) == (made.id, made.person_id)
    return outcome.reason


def test_an_innocent_example_is_left_as_it_is() -> None:
    for innocent in (example(), example(thumb="down"), example(thumb=None, correction="Black ones."), example(correction="")):
        assert one(innocent) is innocent


@pytest.mark.parametrize(
    "planted", [{"question": f"What is {ITEM}?"}, {"answer": ITEM}, {"correction": ITEM}, {"thumb": "down", "answer": ITEM}]
)
def test_an_eval_item_is_found_wherever_it_is(planted: dict[str, str]) -> None:
    assert reason(example(**planted)) == "overlaps a frozen eval item"


def test_an_eval_item_that_only_redaction_brings_to_light_is_found() -> None:
    class Tags:
        def __contains__(self, text: object) -> bool:
            return "is <e-mail" in str(text)

    asked = example("My mail, since you asked, is a@b.com but why do you ask?")
    [outcome] = clean([asked], Cleaner(Tags(), judge, redact, describe, objection))
    assert isinstance(outcome, Drop) and outcome.reason == "overlaps a frozen eval item"


def test_a_liked_answer_that_breaks_a_rule_becomes_a_negative_and_says_by_which() -> None:
    for answer, rule in (("Take a bomb.", "no-bombs"), ("Well, damn.", "no-curses")):
        outcome = one(example(answer=answer))
        assert isinstance(outcome, Example) and outcome.thumb == "down" and outcome.answer == answer
        assert outcome.transformations == (f"turned into a negative by the rule '{rule}'",)
        assert reason(example(answer=answer), "drop") == f"breaks the rule '{rule}'"


def test_a_liked_answer_that_is_only_flagged_is_dropped() -> None:
    assert reason(example(answer="Take more pills.")) == "breaks the rule 'careful'"


def test_a_disliked_answer_that_breaks_a_rule_stays_one() -> None:
    broken = example(answer="Take a bomb.", thumb="down")
    assert one(broken) is broken
    better = example(answer="Take a bomb.", thumb=None, correction="Take a raincoat.")
    assert one(better) is better


@pytest.mark.parametrize("thumb", ["up", "down", None])
def test_a_correction_that_breaks_a_rule_never_teaches(thumb: str | None) -> None:
    assert reason(example(thumb=thumb, correction="Take a bomb.")) == "breaks the rule 'no-bombs'"


def test_personal_data_is_redacted_everywhere_and_counted_together() -> None:
    asked = (Said("user", "I am kim@b.org."), Said("assistant", "Hello kim@b.org!"), Said("user", "Who wrote to me today, please?"))
    outcome = one(
        example(prompt=asked, answer="It was your friend bob@b.org again.", correction="It must have been al@b.org, I think.")
    )
    assert isinstance(outcome, Example)
    assert "@" not in "".join(outcome.texts)
    assert outcome.answer == "It was your friend <e-mail address> again."
    assert outcome.correction == "It must have been <e-mail address>, I think."
    assert [said.role for said in outcome.prompt] == ["user", "assistant", "user"]
    assert outcome.transformations == ("redacted 4 e-mail address",)


def test_what_redaction_mends_breaks_no_rule_that_only_flags() -> None:
    outcome = one(example(answer="Please write to anna@b.org about it."))
    assert isinstance(outcome, Example) and outcome.thumb == "up"


@pytest.mark.parametrize(
    "gutted", [{"answer": "Write a@b.com, c@d.com."}, {"question": "a@b.com?"}, {"correction": "Ask a@b.com."}]
)
def test_an_example_of_which_too_little_is_left_is_dropped(gutted: dict[str, str]) -> None:
    assert reason(example(**gutted)) == "nothing left after redaction"


def test_quality_is_judged_after_redaction_and_rules() -> None:
    assert reason(example(answer="No.")) == "too short to teach"
    assert isinstance(one(example(answer="No.", thumb="down")), Example)


def many(count: int) -> Iterator[Example]:
    answers = ("Brown ones.", "Take a bomb.", "Ask the shop, which is at shop@b.org.", "No.", "Take more pills.", f"It is {ITEM}.")
    return (example(answer=answers[number % len(answers)], said_at_s=float(number)) for number in range(count))


def test_outcomes_are_the_same_and_in_order_in_any_number_of_processes() -> None:
    examples = [*many(3 * CHUNK + 7)]
    alone = [*clean(examples, cleaner(), processes=1)]
    assert [outcome.id for outcome in alone] == [made.id for made in examples]
    assert [*clean(iter(examples), cleaner(), processes=2)] == alone
    assert [*clean(examples, cleaner())] == alone


def test_examples_stream() -> None:
    """Of very many, no more are taken in than are being worked on."""
    taken = 0

    def endless() -> Iterator[Example]:
        nonlocal taken
        while True:
            taken += 1
            yield example()

    outcomes = clean(endless(), cleaner(), processes=1)
    assert [isinstance(next(outcomes), Example) for _ in range(10)] == [True] * 10
    assert taken <= CHUNK


def test_nothing_comes_of_nothing() -> None:
    assert [*clean([], cleaner())] == [*clean([], cleaner(), processes=2)] == []


def test_an_error_in_another_process_is_raised_here() -> None:
    with pytest.raises(TypeError, match="clean_this"):
        list(clean(many(3), Cleaner(Items(), clean_this, redact, describe, objection), processes=2))


def clean_this(prompt: str) -> None:
    """Takes one text where a judge is given two."""
