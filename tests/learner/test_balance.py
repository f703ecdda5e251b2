"""Of weights: the rare counts more, the old less, and one person's many votes are not many people's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.curate.balance import balance, decay, effective_size
from learner.curate.example import Example, Said

DAY_S = 86400.0


def voted(thumb: str | None, number: int = 0, weight: float = 1.0, said_at_s: float = 0.0, question: str = "Why?") -> Example:
    return Example(f"m{number}", "ada", "c", (Said("user", question),), "So.", thumb, None, (), said_at_s, weight)


def votes(up: int, down: int) -> list[Example]:
    return [voted("up", n) for n in range(up)] + [voted("down", up + n) for n in range(down)]


def weight_of(examples: list[Example], thumb: str | None) -> float:
    return sum(example.weight for example in examples if example.thumb == thumb)


def test_the_rarer_vote_weighs_more_and_the_whole_as_much_as_before() -> None:
    balanced = balance(votes(90, 10))
    up, down = balanced[0], balanced[-1]
    assert up.weight < 1 < down.weight
    assert sum(example.weight for example in balanced) == pytest.approx(100, rel=0.01)
    assert up.transformations == (f"vote balance ×{up.weight:g}",)


def test_no_vote_weighs_more_than_the_bound_times_another() -> None:
    balanced = balance(votes(990, 10))
    assert balanced[-1].weight / balanced[0].weight == pytest.approx(4, rel=0.01)
    assert balance(votes(990, 10), max_ratio=1) == votes(990, 10)


def test_weights_are_those_of_the_effective_number_of_samples() -> None:
    """(1 - b) / (1 - b^n) with b = 99/100, for 70 and 30."""
    balanced = balance(votes(70, 30))
    expected = (1 - 0.99**70) / (1 - 0.99**30)
    assert balanced[-1].weight / balanced[0].weight == pytest.approx(expected, rel=0.005)


def test_equal_classes_one_class_and_no_class_stay_as_they_are() -> None:
    for same in (votes(5, 5), votes(7, 0), [], [voted(None)] * 3):
        assert balance(same) == same


def test_a_correction_without_a_vote_keeps_its_weight() -> None:
    assert balance([*votes(9, 1), voted(None, 99)])[-1] == voted(None, 99)


def test_any_classes_can_be_balanced() -> None:
    asked = [voted("up", n, question="Poem" if n else "Sums") for n in range(8)]
    balanced = balance(asked, of=lambda example: example.question, name="topic")
    assert balanced[0].weight > 1 > balanced[1].weight
    assert balanced[0].transformations[0].startswith("topic balance ×")


@given(st.integers(0, 200), st.integers(0, 200))
def test_balance_never_turns_the_classes_round_nor_loses_anything(up: int, down: int) -> None:
    balanced = balance(votes(up, down))
    assert [example.id for example in balanced] == [example.id for example in votes(up, down)]
    if up > down > 0:
        assert balanced[0].weight <= balanced[-1].weight
        assert weight_of(balanced, "up") >= weight_of(balanced, "down") * 0.99


def test_a_vote_is_worth_half_after_a_half_life() -> None:
    now_s = 1000 * DAY_S
    ages = [0, 90, 180, 45]
    decayed = decay([voted("up", said_at_s=now_s - age * DAY_S) for age in ages], now_s, 90 * DAY_S)
    assert [example.weight for example in decayed] == [1.0, 0.5, 0.25, 0.707]
    assert [example.transformations for example in decayed] == [(), ("age ×0.5",), ("age ×0.25",), ("age ×0.707",)]


def test_a_vote_multiplies_what_it_weighed_already() -> None:
    [decayed] = decay([voted("up", weight=0.6)], 90 * DAY_S, 90 * DAY_S)
    assert decayed.weight == 0.3


def test_the_oldest_is_worth_something_and_the_future_nothing_more() -> None:
    old, future = decay([voted("up"), voted("up", said_at_s=2e6 * DAY_S)], 1e6 * DAY_S, DAY_S)
    assert (old.weight, future.weight) == (0.01, 1.0)


def test_without_a_half_life_nothing_ages_and_a_negative_one_is_refused() -> None:
    assert decay([voted("up")], 1e9, 0) == [voted("up")]
    with pytest.raises(ValueError, match=r"the half-life is -1 s, expected 0 or more"):
        decay([voted("up")], 1e9, -1)


def test_equal_votes_of_many_people_count_in_full() -> None:
    assert effective_size([1.0] * 30, [f"p{n}" for n in range(30)]) == pytest.approx(30)
    assert effective_size([], []) == effective_size([0.0], ["ada"]) == 0


def test_one_persons_votes_count_for_less_the_more_alike_they_are() -> None:
    ten = [1.0] * 10, ["ada"] * 10
    assert effective_size(*ten, rho=0) == pytest.approx(10)
    assert effective_size(*ten, rho=1) == pytest.approx(1)
    assert effective_size(*ten, rho=0.1) == pytest.approx(10 / 1.9)


def test_unequal_weights_count_for_less_as_kish_has_it() -> None:
    assert effective_size([3.0, 1.0], ["ada", "bob"]) == pytest.approx(16 / 10)


@given(
    st.lists(st.tuples(st.floats(0.01, 10), st.sampled_from("abcdef")), min_size=1, max_size=40),
    st.floats(0, 1),
    st.floats(0.1, 10),
)
def test_the_effective_size_is_at_most_the_count_and_knows_no_unit(cast: list[tuple[float, str]], rho: float, unit: float) -> None:
    weights, people = [weight for weight, _ in cast], [person for _, person in cast]
    size = effective_size(weights, people, rho)
    assert 0 < size <= len(cast) + 1e-9
    assert effective_size([weight * unit for weight in weights], people, rho) == pytest.approx(size)
    if rho == 1:
        assert size <= len(set(people)) + 1e-9
    assert math.isfinite(size)
