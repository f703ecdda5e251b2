"""Of the split: a person, a conversation and an exchange are on one side only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.curate.example import Example, Said
from learner.curate.split import split_of, unleak
from learner.rows import Split

SHARE = 0.3
PEOPLE = [f"person-{number}" for number in range(40)]
TEACHER = next(person for person in PEOPLE if split_of(person, SHARE) is Split.TRAIN)
JUDGE = next(person for person in PEOPLE if split_of(person, SHARE) is Split.HELDOUT)


def said(person: str, id: str = "m", conversation: str | None = None) -> Example:
    return Example(id, person, conversation or f"c-{person}-{id}", (Said("user", "Why?"),), "So.", "up", None, (), 1.0)


def test_of_an_exchange_that_is_on_both_sides_the_training_one_stays() -> None:
    teaches, judges, other = said(TEACHER, "a"), said(JUDGE, "b"), said(JUDGE, "c")
    kept, dropped = unleak([judges, teaches, other], [7, 7, 8], SHARE)
    assert kept == [teaches, other]
    assert [(drop.id, drop.person_id, drop.reason, drop.held) for drop in dropped] == [
        ("b", JUDGE, "stands in the training rows", False)
    ]


def test_an_exchange_that_only_judges_had_stays() -> None:
    judges = [said(JUDGE, "a"), said(JUDGE, "b")]
    assert unleak(judges, [1, 1], SHARE) == (judges, [])


def test_a_conversation_is_on_one_side_whoever_speaks_in_it() -> None:
    kept, dropped = unleak([said(TEACHER, "a", "shared"), said(JUDGE, "b", "shared")], [1, 2], SHARE)
    assert ([example.id for example in kept], [drop.id for drop in dropped]) == (["a"], ["b"])


def test_examples_and_clusters_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError):
        unleak([said(TEACHER)], [], SHARE)


@given(st.lists(st.tuples(st.sampled_from(PEOPLE), st.integers(0, 8), st.integers(0, 8)), max_size=40), st.floats(0, 1))
def test_afterwards_nothing_is_on_both_sides_and_nothing_is_lost(cast: list[tuple[str, int, int]], share: float) -> None:
    examples = [said(person, f"m{number}", f"c{conversation}") for number, (person, _, conversation) in enumerate(cast)]
    clusters = {example.id: cluster for example, (_, cluster, _) in zip(examples, cast, strict=True)}
    kept, dropped = unleak(examples, list(clusters.values()), share)
    assert sorted([*(example.id for example in kept), *(drop.id for drop in dropped)]) == sorted(clusters)
    sides = {
        (split_of(example.person_id, share), name) for example in kept for name in (clusters[example.id], example.conversation_id)
    }
    assert len(sides) == len({name for _, name in sides})
    assert all(example in kept for example in examples if split_of(example.person_id, share) is Split.TRAIN)
