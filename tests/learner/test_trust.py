"""Raters weigh by how they agree with others and with operators, and new people wait."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from learner.config import TrustSettings
from learner.curate.example import Example
from learner.curate.trust import Standing, hold_new, judge_raters, weigh
from tests.learner.voters import example

SETTINGS = TrustSettings()
TOPICS = [
    f"{colour} {thing}" for colour, thing in product(("red", "green", "blue", "grey"), ("cars", "birds", "hats", "boats", "cups"))
]


def same_words(texts: object) -> list[int]:
    found = list(texts)  # type: ignore[call-overload]
    return [found.index(text) for text in found]


def judge(examples: list[Example], labels: dict[str, bool] | None = None) -> dict[str, Standing]:
    return judge_raters(examples, SETTINGS, labels, same_words)


def votes(person: str, likes: list[bool]) -> list[Example]:
    return [
        example(person, n, f"What of {topic}?", f"Many people own {topic}, and some of them sing.", "up" if liked else "down", n)
        for n, (topic, liked) in enumerate(zip(TOPICS, likes, strict=False))
    ]


TASTE = [number % 2 == 0 for number in range(len(TOPICS))]
HONEST = [vote for number in range(5) for vote in votes(f"honest-{number}", TASTE)]
CONTRARY = votes("contrary", [not liked for liked in TASTE])


def test_who_contradicts_everybody_weighs_least_and_who_agrees_weighs_all() -> None:
    found = judge([*HONEST, *CONTRARY])
    assert found["contrary"].weight == SETTINGS.least_weight
    assert all(found[f"honest-{number}"].weight > 0.95 for number in range(5))
    assert (found["contrary"].agreements, found["contrary"].disagreements) == (0, 20)
    assert (found["honest-0"].agreements, found["honest-0"].disagreements) == (20, 0)


def test_votes_that_are_all_alike_weigh_little_whether_shared_or_not() -> None:
    shared = votes("cheerful", [True] * 20)
    alone = [example("lonely", n, f"Say {n * 977}?", f"Number {n * 977} it is.", "up", n) for n in range(20)]
    found = judge([*HONEST, *shared, *alone])
    assert found["cheerful"].weight < 0.5 and found["cheerful"].all_alike
    assert found["lonely"].weight < 0.6 and found["lonely"].agreements == 0
    assert found["honest-0"].weight > found["cheerful"].weight


def test_a_few_votes_change_little() -> None:
    once = judge([*HONEST, *CONTRARY[:1]])["contrary"].weight
    often = judge([*HONEST, *CONTRARY[:6]])["contrary"].weight
    assert 1.0 > once > often > SETTINGS.least_weight


def test_an_operators_word_counts_for_more_than_anothers() -> None:
    labels = {vote.id: not liked for vote, liked in zip(CONTRARY, TASTE, strict=True)}
    plain = judge([*HONEST, *CONTRARY])
    found = judge([*HONEST, *CONTRARY], labels)
    assert found["contrary"].operator_agreements == 20 and found["honest-0"].operator_disagreements == 20
    assert found["contrary"].weight > plain["contrary"].weight and found["honest-0"].weight < plain["honest-0"].weight


def test_nearly_the_same_answers_are_compared() -> None:
    told = "Bread is made of flour, water, salt and yeast, which are mixed, left to rise and baked in a hot oven for an hour"
    liked = [example(person, 0, "How is bread made?", f"{told}.", "up", 0.0) for person in ("ann", "bob")]
    disliked = example("cid", 0, "How is bread made?", f"{told}!", "down", 0.0)
    assert judge_raters([*liked, disliked], SETTINGS)["cid"].disagreements == 1


def test_a_weight_is_explained_and_noted() -> None:
    found = judge([*HONEST, *CONTRARY])
    assert "0 agreements and 20 disagreements with others" in found["contrary"].formula
    assert f"weight {found['contrary'].weight:.2f}" in found["contrary"].formula
    kept, dropped = weigh(CONTRARY, found)
    assert dropped == [] and {one.weight for one in kept} == {0.1}
    assert {one.transformations for one in kept} == {("rater weight 0.10",)}
    alone = weigh(HONEST[:1], judge(HONEST[:1])).kept
    assert alone == HONEST[:1]  # nobody to compare with: nothing to note


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.booleans()), max_size=60))
def test_weights_stay_within_bounds_and_do_not_hang_on_order(said: list[tuple[int, int, bool]]) -> None:
    once = {(person, topic): liked for person, topic, liked in said}  # of each answer a person has one opinion
    examples = [example(f"p{p}", t, f"q{t}", f"a{t}", "up" if liked else "down", 0.0) for (p, t), liked in once.items()]
    found = judge(examples)
    assert all(SETTINGS.least_weight <= one.weight <= 1.0 for one in found.values())
    turned = judge(examples[::-1])
    assert {person: round(one.weight, 9) for person, one in found.items()} == {p: round(o.weight, 9) for p, o in turned.items()}


def test_new_people_wait_a_day() -> None:
    said = [example(person, 0, "Hi", "Hello", "up", 0.0) for person in ("old", "new", "unknown")]
    created_at_s = {"old": 1_000.0, "new": 1_001.0}
    kept, dropped = hold_new(said, created_at_s, 1_000.0 + SETTINGS.new_person_wait_s, SETTINGS)
    assert [one.person_id for one in kept] == ["old"]
    assert [(one.person_id, one.reason, one.held) for one in dropped] == [
        ("new", "new here: waits 24 h", True),
        ("unknown", "new here: waits 24 h", True),
    ]
