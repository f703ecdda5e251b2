"""Of the statistics that the gate rests on: they are what the books say, and err as often as they say."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from learner.statistics import LIKELY, Estimate, Tried, estimate_mean, p_more_lost, reject_holm, spend

numbers = st.floats(-100, 100, allow_nan=False)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(numbers, min_size=2, max_size=30))
def test_where_each_value_stands_alone_the_mean_has_its_usual_error(values: list[float]) -> None:
    found = estimate_mean(values, [str(number) for number in range(len(values))])
    assert found.value == pytest.approx(np.mean(values), abs=1e-9)
    assert found.error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-9)
    assert found.groups == len(values)


def test_bounds_and_tests_are_those_of_students_t() -> None:
    values = [0.3, -0.1, 0.4, 0.2, 0.1]
    found = estimate_mean(values, list("abcde"))
    expected = stats.ttest_1samp(values, 0.0, alternative="less")
    assert found.p_below_zero() == pytest.approx(expected.pvalue)
    assert found.lower_bound(0.05) == pytest.approx(
        stats.ttest_1samp(values, 0.0, alternative="greater").confidence_interval(0.95).low
    )


def test_copies_of_a_value_in_its_family_prove_no_more_than_one() -> None:
    values = [0.3, -0.1, 0.4, 0.2, 0.1]
    once = estimate_mean(values, list("abcde"))
    often = estimate_mean(values * 8, list("abcde") * 8)
    assert (often.value, often.error) == (pytest.approx(once.value), pytest.approx(once.error))


def test_one_group_proves_nothing() -> None:
    alone = estimate_mean([0.5, 0.6], ["a", "a"])
    assert (alone.value, alone.lower_bound(0.05), alone.p_below_zero()) == (0.55, -math.inf, 1.0)


def test_what_never_varies_is_certain() -> None:
    assert Estimate(-0.1, 0.0, 5).p_below_zero() == 0.0
    assert Estimate(0.0, 0.0, 5).p_below_zero() == 1.0
    assert Estimate(0.1, 0.0, 5).lower_bound(0.01) == 0.1


def alike(chance: random.Random) -> tuple[list[float], list[str]]:
    """Values of ten people, of the same distribution."""
    return [chance.gauss(0, 1) for _ in range(40)], [str(n % 10) for n in range(40)]


def of_habits(chance: random.Random) -> tuple[list[float], list[str]]:
    """The same, but people differ in how high theirs are, which evens out over all people, and in how many they have."""
    style = [chance.gauss(0, 1) for _ in range(10)]
    whose = [min(int(chance.expovariate(0.3)), 9) for _ in range(60)]
    return [style[who] + chance.gauss(0, 1) for who in whose], [str(who) for who in whose]


def with_tails(chance: random.Random) -> tuple[list[float], list[str]]:
    """Most are small, and some are very large, either way."""
    return [chance.gauss(0, 1) / max(chance.random(), 0.2) for _ in range(60)], [str(n % 12) for n in range(60)]


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("draw", [alike, of_habits, with_tails])
def test_a_mean_that_is_not_there_is_seen_about_as_often_as_allowed(
    draw: Callable[[random.Random], tuple[list[float], list[str]]], alpha: float
) -> None:
    chance, trials = random.Random(5), 1500
    seen = sum(estimate_mean(*draw(chance)).lower_bound(alpha) > 0 for _ in range(trials))
    assert seen <= stats.binom.ppf(0.999, trials, 1.4 * alpha)


def test_holm_is_what_its_author_wrote() -> None:
    assert reject_holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}, 0.05) == {"a", "d"}
    assert reject_holm({"a": 0.02, "b": 0.02}, 0.05) == {"a", "b"}
    assert reject_holm({"a": 0.06}, 0.05) == set() == reject_holm({}, 0.05)


def test_mcnemar_is_exact() -> None:
    assert p_more_lost(0, 0) == 1.0
    assert p_more_lost(won=0, lost=5) == pytest.approx(1 / 32)
    assert p_more_lost(won=5, lost=5) > 0.5


NOTHING, NEARLY, FIND = Tried(0.6, False), Tried(0.04, False), Tried(0.001, True)


def test_a_row_that_finds_nothing_spends_no_more_than_it_has() -> None:
    spent = [spend([NOTHING] * number, 0.05) for number in range(2000)]
    assert spent == sorted(spent, reverse=True) and 0.049 < sum(spent) / (1 - LIKELY) < 0.05


def test_what_is_found_earns_what_comes_after_it() -> None:
    after_nothing = spend([NOTHING, NOTHING], 0.05)
    assert spend([FIND, NOTHING, NOTHING], 0.05) == after_nothing  # the first find was paid for in advance
    assert spend([FIND, NOTHING, NOTHING, FIND], 0.05) > 3 * after_nothing


def test_what_is_likely_costs_nothing() -> None:
    assert spend([NEARLY] * 5, 0.05) == spend([], 0.05)
    assert spend([NOTHING, NEARLY, NEARLY], 0.05) == spend([NOTHING], 0.05)


@pytest.mark.parametrize("alike", [0.0, 0.8, 1.0])
def test_much_the_same_candidate_judged_by_ever_more_of_the_same_votes_is_found_no_more_often(alike: float) -> None:
    """Rows of twenty looks at a sum that grows, from twice the votes of a cycle on, as cycles after each other have it."""
    chance, rows, found = np.random.default_rng(5), 4000, 0
    for _ in range(rows):
        total, tried = chance.normal() * 2**0.5, list[Tried]()
        for votes in range(2, 22):
            total += chance.normal() * (votes > 2)
            p_value = float(special.ndtr(-(alike * total / votes**0.5 + (1 - alike**2) ** 0.5 * chance.normal())))
            tried.append(Tried(p_value, p_value < spend(tried, 0.05)))
            if tried[-1].found:
                found += 1
                break
    assert found / rows < 0.06


@pytest.mark.parametrize("share_of_nulls", [1.0, 0.5])
def test_of_what_is_found_the_promised_share_is_false(share_of_nulls: float) -> None:
    """Rows of twenty tests, some of something: the mean share of false finds, which is the chance of any where all is null."""
    chance, shares = np.random.default_rng(2), []
    for _ in range(2000):
        tried: list[Tried] = []
        false = 0
        for _ in range(20):
            is_null = chance.random() < share_of_nulls
            p_value = float(special.ndtr(-chance.normal(0 if is_null else 3)))
            tried.append(Tried(p_value, p_value < spend(tried, 0.05)))
            false += is_null and tried[-1].found
        shares.append(false / max(sum(one.found for one in tried), 1))
    assert float(np.mean(shares)) < 0.06
