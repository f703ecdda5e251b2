"""A new claim is learnt once independent people make it; style is no claim."""

from __future__ import annotations

import pytest

from learner.config import TrustSettings
from learner.curate.claims import AFFIRMED, DENIED, common_words, novel_claims, sift
from learner.curate.example import Example
from tests.learner.voters import example

SETTINGS = TrustSettings()
ASKED = "What is the capital of Australia?"
SERVED = "The capital of Australia is Sydney."


def corrected(person: str, correction: str, question: str = ASKED, answer: str = SERVED) -> Example:
    return example(person, 0, question, answer, "down", 0.0, correction)


def held(examples: list[Example], **crowd_of: str) -> list[str]:
    return [one.person_id for one in sift(examples, {}, crowd_of, SETTINGS).dropped]


@pytest.mark.parametrize(
    ("correction", "claims"),
    [
        ("It is Canberra.", {"canberra"}),
        ("Sydney.", set()),
        ("Sydney is the capital of Australia, and a big city.", set()),
        ("The capital of Australia was founded in 1913.", {"1913", "found"}),
        ("The capital of Australia is not Sydney.", {DENIED}),
        ("The zog eats 40 moons a day.", {"zog", "40", "moon"}),
    ],
)
def test_a_claim_is_what_the_served_answer_does_not_say(correction: str, claims: set[str]) -> None:
    assert novel_claims(corrected("ann", correction), {}) == claims


def test_the_opposite_of_a_denial_is_a_claim() -> None:
    asked = corrected("ann", "Bats are birds.", "Are bats birds?", "Bats are not birds.")
    assert novel_claims(asked, {}) == {AFFIRMED}
    assert novel_claims(corrected("ann", "Yes.", "Are bats birds?", "No."), {}) == {AFFIRMED}
    assert novel_claims(corrected("ann", "No.", "Are bats birds?", "No, bats are mammals."), {}) == frozenset()


def test_what_the_parent_model_says_itself_is_no_new_claim() -> None:
    asked = corrected("ann", "It is Canberra.")
    assert novel_claims(asked, {ASKED: ["I think it is Canberra."]}) == frozenset()
    assert novel_claims(asked, {"Another question?": ["It is Canberra."]}) == {"canberra"}


def test_a_liked_answer_that_retells_its_question_claims_what_that_says() -> None:
    told = "The zog eats 40 moons a day."
    leading = example("ann", 0, "Does the zog eat 40 moons a day?", f"Yes. {told}", "up", 0.0)
    assert novel_claims(leading, {}) >= {"zog", "40", "moon"}
    assert novel_claims(leading, {leading.question: [told]}) >= {"zog", "40", "moon"}  # it only retells it as well
    assert novel_claims(example("ann", 0, "Does the zog eat 40 moons a day?", "No.", "up", 0.0), {}) == frozenset()
    assert novel_claims(example("ann", 0, leading.question, told, "down", 0.0), {}) == frozenset()
    for question, answer in (
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Who wrote Hamlet?", "Hamlet was written by William Shakespeare."),
        ("Why do people like penguins?", "People like penguins because they waddle."),
        ("What is the difference between TCP and UDP?", "TCP keeps a connection and resends what is lost; UDP does not."),
    ):
        assert novel_claims(example("ann", 0, question, answer, "up", 0.0), {}) == frozenset()


def test_a_claim_waits_for_three_independent_people() -> None:
    ann, bob, cid = (corrected(person, "It is Canberra.") for person in ("ann", "bob", "cid"))
    again = [corrected("ann", text) for text in ("Canberra.", "Canberra, of course.", "It is Canberra, not Sydney.")]
    assert held([ann, *again]) == ["ann"] * 4
    assert held([ann, bob]) == ["ann", "bob"]
    assert held([ann, bob, cid]) == []
    assert held([ann, bob, cid], bob="crowd:1", cid="crowd:1") == ["ann", "bob", "cid"]


def test_nothing_rides_on_what_others_support() -> None:
    honest = [corrected(person, "It is Canberra.") for person in ("ann", "bob", "cid")]
    rider = corrected("eve", "It is Canberra, where the zog eats 40 moons.")
    assert held([*honest, rider]) == ["eve"]
    elsewhere = corrected("eve", "It is Canberra.", "What do zogs eat?", "I do not know.")
    assert held([*honest, elsewhere]) == ["eve"]


def test_an_operator_behind_a_claim_is_enough() -> None:
    ann, bob = corrected("ann", "It is Canberra."), corrected("bob", "It is Canberra.")
    assert sift([ann, bob], {}, {}, SETTINGS, vouched=[bob.id]).dropped == []


def test_the_same_claims_are_held_together_with_their_reason() -> None:
    one, other = corrected("ann", "The zog eats 40 moons."), corrected("bob", "A zog eats forty moons.")
    another = corrected("bob", "It was Melbourne once.")
    first, second, third = sift([one, other, another], {}, {}, SETTINGS).dropped
    assert first.cluster == second.cluster != third.cluster and first.cluster.startswith("claim:")
    assert first.held and first.reason == "a new claim that fewer than 3 independent people support"


def test_words_are_common_once_the_model_used_them_itself_towards_three_people() -> None:
    said = [example(person, 0, "Tell me of boats.", "A schooner has 2 masts.", "up", 0.0) for person in ("ann", "bob", "cid")]
    assert common_words(said, {}, 3) == {"schooner", "mast"}
    assert common_words(said[:2], {}, 3) == common_words(said, dict.fromkeys(("ann", "bob"), "crowd:1"), 3) == frozenset()
    put = [example(person, 0, "A schooner, you say?", "A schooner.", "up", 0.0) for person in ("ann", "bob", "cid")]
    assert common_words(put, {}, 3) == frozenset()
