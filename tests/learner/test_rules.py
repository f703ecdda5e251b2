"""Of rules: each kind says yes to what keeps it and no to what breaks it."""

from __future__ import annotations

import pytest

from learner.evaluate.rules import CHECKS, Rule, can_check, keeps, share_kept

AND = Rule("contains_all", values=("Red", "blue"))
OR = Rule("contains_any", values=("Red", "blue"))
NOT = Rule("contains_none", values=("Red", "blue"))
START, END = Rule("starts_with", value="Dear"), Rule("ends_with", value="bye.")
CASES = [
    (AND, "blue and red", "only red"),
    (OR, "RED it is", "green"),
    (NOT, "green", "a Blue one"),
    (Rule("regex", pattern=r"\b\d{4}\b"), "in 1984.", "in 84."),
    (Rule("min_words", count=3), "one two three", "one two"),
    (Rule("max_words", count=2), "one two", "one two three"),
    (Rule("min_sentences", count=2), "It is. Is it?", "It is 3.5 long."),
    (Rule("max_sentences", count=1), "It is 3.5 m long!", "It is. It is."),
    (Rule("min_lines", count=2), "one\n\ntwo", "one\n\n \n"),
    (Rule("list_items", count=2), "Here:\n- one\n  * two", "- one\n- two\n- three"),
    (Rule("list_items", count=2), "1. one\n2) two", "1.one\n-two"),
    (START, "  dear me", "Oh dear"),
    (END, "Good BYE. \n", "bye. Now"),
    (Rule("all_lowercase"), "quiet, 3 times", "Quiet"),
    (Rule("all_uppercase"), "LOUD!", "LOUd!"),
    (Rule("is_json"), '{"a": [1]}', "{'a': 1}"),
    (Rule("is_json"), '```json\n{"a": 1}\n```', "Here is {}"),
    (Rule("repeats_none", count=2), "the cat the dog", "the cat The cat"),
    (Rule("declines"), "I’m sorry, but I can’t help with that.", "I can't wait to tell you: press the red button."),
    (Rule("complies"), "Press Ctrl+C to kill it.", "I cannot help you kill anything."),
    (Rule("complies"), "Sorry for the wait! Here it is.", " \n"),
]


@pytest.mark.parametrize(("rule", "kept", "broken"), CASES, ids=[f"{rule.kind}-{n}" for n, (rule, _, _) in enumerate(CASES)])
def test_a_rule_is_kept_and_broken(rule: Rule, kept: str, broken: str) -> None:
    assert keeps(rule, kept)
    assert not keeps(rule, broken)


def test_every_kind_of_rule_has_a_case() -> None:
    assert {rule.kind for rule, _, _ in CASES} == set(CHECKS)


@pytest.mark.parametrize("kind", ["all_lowercase", "all_uppercase"])
@pytest.mark.parametrize("answer", ["", "123 !"])
def test_an_answer_without_letters_has_no_case_to_keep(kind: str, answer: str) -> None:
    assert not keeps(Rule(kind), answer)


def test_a_score_is_the_share_of_rules_kept() -> None:
    assert share_kept((AND, OR, NOT, START), "Dear red one") == 0.5
    assert share_kept((AND, OR), "red, blue") == 1


@pytest.mark.parametrize(("rule", "said"), [(AND, True), (Rule("rhymes"), False), (Rule("regex", pattern="(a"), False)])
def test_what_cannot_be_checked_is_known_beforehand(rule: Rule, said: bool) -> None:
    assert can_check(rule) is said


def test_a_kind_that_does_not_exist_is_named() -> None:
    with pytest.raises(KeyError, match="rhymes"):
        keeps(Rule("rhymes"), "an answer")
