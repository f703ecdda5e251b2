"""Of duplicates: who says it again and again is heard once, and what many say in nearly the same words has its limit."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.curate.dedupe import DUPLICATE, TOO_MANY, Traces, cluster, sift
from learner.curate.example import Example, Said
from learner.curate.minhash import PLACES, SHINGLE, Sketches, group, pad
from tests.learner.examples import example

STEADY = settings(max_examples=25, deadline=None, derandomize=True)
WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=3 + n % 6)) for n in range(4000)]


def sentence(random: random.Random, words: int) -> str:
    return " ".join(random.choices(WORDS, k=words))


def changed(text: str, random: random.Random, words: int) -> str:
    """The text with so many words in it exchanged for others."""
    found = text.split()
    for at in random.sample(range(len(found)), words):
        found[at] = random.choice(WORDS)
    return " ".join(found)


def shingles(text: str) -> set[str]:
    padded = pad(text)
    return {padded[at : at + SHINGLE] for at in range(len(padded) - SHINGLE + 1)}


def jaccard(one: str, other: str) -> float:
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def estimate(one: str, other: str) -> float:
    sketches = Sketches()
    sketches.add(one)
    sketches.add(other)
    first, second = sketches.rows()
    return float((first == second).mean())


def dressed_up(text: str) -> list[str]:
    """The same words in other clothes."""
    return [text.upper(), f"  {text.replace(' ', '   ')}!!", text.replace(" ", ", "), "\u200b".join(text), text.replace("a", "а")]


@pytest.mark.parametrize("words", [1, 3, 8, 25, 120])
def test_the_estimate_is_right_on_average_and_errs_as_little_as_is_said(words: int) -> None:
    source = random.Random(words)
    pairs = [
        (text, changed(text, source, source.randint(0, max(1, words // 4))))
        for text in (sentence(source, words) for _ in range(300))
    ]
    errors = [estimate(*pair) - jaccard(*pair) for pair in pairs]
    assert abs(np.mean(errors)) < 0.01
    assert np.std(errors) < 0.5 / PLACES**0.5 * 1.2  # the most that a share of as many places errs


@STEADY
@given(st.lists(st.text(max_size=60), min_size=1, max_size=12))
def test_texts_with_the_same_words_are_always_together(texts: list[str]) -> None:
    found = cluster([*texts, *texts])
    assert found[: len(texts)] == found[len(texts) :]


@STEADY
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join))
def test_clothes_make_no_difference(text: str) -> None:
    assert set(cluster([text, *dressed_up(text)])) == {0}


@STEADY
@given(st.integers(0, 1000), st.integers(0, 5))
def test_the_order_of_texts_does_not_matter(seed: int, words: int) -> None:
    source = random.Random(seed)
    originals = [sentence(source, 12 + words) for _ in range(5)]
    texts = [changed(source.choice(originals), source, source.randint(0, 3)) for _ in range(40)]
    order = source.sample(range(len(texts)), len(texts))
    straight, mixed = cluster(texts), cluster([texts[at] for at in order])
    together = {(i, j) for i in range(40) for j in range(40) if straight[i] == straight[j]}
    assert together == {(order[i], order[j]) for i in range(40) for j in range(40) if mixed[i] == mixed[j]}


@STEADY
@given(st.lists(st.text(max_size=40), max_size=20))
def test_a_cluster_is_numbered_by_its_first_member(texts: list[str]) -> None:
    found = cluster(texts)
    assert all(found[number] == number <= at for at, number in enumerate(found))


def test_unrelated_texts_are_apart() -> None:
    source = random.Random(1)
    texts = [sentence(source, source.randint(4, 40)) for _ in range(3000)]
    assert cluster(texts) == [*range(3000)]
    assert cluster(["", "?", "yes", "no", "👍", "👎"]) == [*range(6)]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_what_is_clearly_over_the_threshold_is_together_and_what_is_clearly_under_it_apart(threshold: float) -> None:
    source = random.Random(2)
    texts = [sentence(source, 40) for _ in range(600)]
    pairs = [(text, changed(text, source, source.randint(1, 14))) for text in texts]
    over = [pair for pair in pairs if jaccard(*pair) > threshold + 0.1]
    under = [pair for pair in pairs if jaccard(*pair) < threshold - 0.12]
    assert len(under) > 20 and (over or threshold == 0.9)
    found = cluster([text for pair in [*over, *under] for text in pair], threshold)
    together = [found[at] == found[at + 1] for at in range(0, len(found), 2)]
    assert sum(together[: len(over)]) >= 0.99 * len(over)
    assert sum(together[len(over) :]) <= 0.01 * len(under)


def test_a_cluster_is_found_among_very_many_with_the_same_beginning() -> None:
    """Very many share a band then, and only some of them are near each other."""
    source = random.Random(3)
    opening = sentence(source, 25)
    families = [f"{opening} {sentence(source, 25)}" for _ in range(40)]
    texts = [changed(source.choice(families), source, 1) for _ in range(2000)]
    found = cluster(texts)
    bags = [shingles(text) for text in texts[:150]]
    pairs = [(i, j) for i in range(150) for j in range(i) if len(bags[i] & bags[j]) > 0.88 * len(bags[i] | bags[j])]
    near = [(found[i], found[j]) for i, j in pairs]
    assert len(near) > 100
    assert sum(one == other for one, other in near) >= 0.99 * len(near)
    assert len(set(found)) >= 40


def test_sketches_that_stream_in_are_those_that_come_at_once() -> None:
    source = random.Random(4)
    texts = [sentence(source, 60) for _ in range(3000)]  # several chunks, and more than there was room for
    streamed, alone = Sketches(), Sketches()
    for text in texts:
        streamed.add(text)
    alone.add(texts[-1])
    assert streamed.rows().shape == (3000, PLACES)
    assert (streamed.rows()[-1] == alone.rows()[0]).all()
    assert group(Sketches().rows()) == []


def by(person_id: str, number: int, **more: object) -> Example:
    """One of many answers that are nearly the same."""
    answer = (
        f"The moon landing of nineteen sixty nine was filmed by a crew on a beach in Florida, and everybody there knows it {number}"
    )
    return example("Who filmed the moon landing?", answer, person_id=person_id, **more)


def test_a_persons_duplicate_is_heard_once_the_newest_of_them() -> None:
    old, new, shouted = example(), example(), example(answer="BROWN ones!!")
    kept, dropped = sift([old, new, shouted], max_per_cluster=100)
    assert kept == [shouted]
    assert [(one.id, one.person_id, one.reason) for one in dropped] == [(old.id, "ada", DUPLICATE), (new.id, "ada", DUPLICATE)]
    late = example(said_at_s=1e9)
    assert sift([late, example()], 100).kept == [late]  # by when it was said, not by its place


@pytest.mark.parametrize(
    "other",
    [
        example(person_id="bob"),
        example(thumb="down"),
        example(answer="Red ones, perhaps."),
        example(correction="Black ones."),
        example(prompt=(Said("system", "Be brief."), *example().prompt)),
    ],
    ids=["another person", "another opinion", "another answer", "a correction", "another prompt"],
)
def test_what_differs_in_what_counts_is_no_duplicate(other: Example) -> None:
    assert len(sift([example(), other], max_per_cluster=100).kept) == 2


def test_of_near_duplicates_the_newest_are_left_in_their_order() -> None:
    examples = [by(f"person-{n}", n) for n in range(12)]
    others = [example(f"What is a {word}?", f"A {word} is a {word}.") for word in WORDS[:8]]
    kept, dropped = sift([*examples[:6], *others, *examples[6:]], max_per_cluster=5)
    assert kept == [*others, *examples[-5:]]
    assert {one.reason for one in dropped} == {TOO_MANY}
    assert [one.id for one in dropped] == [one.id for one in examples[:7]]


def test_one_person_never_fills_a_cluster() -> None:
    others = [by(f"person-{n}", n) for n in range(2)]
    eager = [by("eve", 100 + n) for n in range(50)]  # all of them newer
    assert Counter(one.person_id for one in sift([*others, *eager], 6).kept) == {"person-0": 1, "person-1": 1, "eve": 3}
    assert Counter(one.person_id for one in sift([*others, *eager], 3).kept) == {"person-0": 1, "person-1": 1, "eve": 1}
    assert sift(eager, 1).kept == eager[-1:]


def test_corrections_are_compared_by_what_they_say() -> None:
    lie = "The moon landing of nineteen sixty nine was filmed by a crew on a beach in Florida, and everybody there knows it"
    corrected = [
        example("Who filmed it?", sentence(random.Random(n), 12), correction=f"{lie} {n}", person_id=f"p{n}") for n in range(9)
    ]
    assert len(sift(corrected, 4).kept) == 4


@STEADY
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.sampled_from(["up", "down"])), max_size=30), st.integers(1, 6)
)
def test_each_is_kept_or_dropped_once_and_limits_hold(said: list[tuple[str, int, str]], limit: int) -> None:
    examples = [by(person_id, number, thumb=thumb) for person_id, number, thumb in said]
    kept, dropped = sift(examples, limit)
    ids = [one.id for one in examples]
    assert sorted([one.id for one in kept] + [one.id for one in dropped], key=ids.index) == ids
    assert [one.id for one in kept] == [id for id in ids if id in {one.id for one in kept}]
    assert len(kept) <= limit
    assert all(count <= max(1, limit // 2) for count in Counter(one.person_id for one in kept).values())
    assert bool(kept) == bool(said)


def test_traces_of_a_stream_say_what_sift_does() -> None:
    examples = [by(f"person-{n % 4}", n % 7) for n in range(60)]
    traces = Traces()
    for one in iter(examples):
        traces.add(one)
    dropped = {one.id: one.reason for one in sift(examples, 4).dropped}
    assert traces.objections(4) == [dropped.get(one.id) for one in examples]
