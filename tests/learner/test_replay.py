"""Of replay: evenly over topics, the same whenever it is drawn again, without holding more than is drawn."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from learner.curate.replay import draw, topic
from learner.rows import Row, RowKind, Split
from tests.learner.tiny import corrections, replays, thumbs


def by_prefix(row: Row) -> str:
    return row.id.split(":")[0]


def rows(**of_topic: int) -> list[Row]:
    model = thumbs(1)[0]
    ids = [f"{topic}:{number}" for topic, count in of_topic.items() for number in range(count)]
    return [msgspec.structs.replace(model, id=id) for id in ids]


def test_only_training_rows_that_are_not_taken_are_drawn_once_each_without_votes_or_corrections() -> None:
    judged = [msgspec.structs.replace(row, split=Split.HELDOUT) for row in replays(5)]
    earlier = [*thumbs(10), *corrections(5), *judged]
    taken = {"thumb-0", "correction-1"}
    drawn = draw([*earlier, *earlier], taken, 100, 1, lambda row: "")
    assert Counter(row.id for row in drawn) == Counter({row.id for row in earlier[:15]} - taken)
    assert {(row.kind, row.label, row.better_ids) for row in drawn} == {(RowKind.REPLAY, 0, ())}
    answers = {row.id: (row.prompt_ids, row.answer_ids) for row in earlier}
    assert all(answers[row.id] == (row.prompt_ids, row.answer_ids) for row in drawn)


def test_rare_topics_have_as_many_places_as_frequent_ones_as_far_as_they_go() -> None:
    drawn = draw(rows(poem=500, sums=40, cats=3), set(), 23, 1, by_prefix)
    assert Counter(map(by_prefix, drawn)) == {"poem": 10, "sums": 10, "cats": 3}


def test_within_a_topic_every_row_has_the_same_chance() -> None:
    counts = Counter(row.id for seed in range(400) for row in draw(rows(a=20, b=5), set(), 10, seed, by_prefix))
    expected = {"a": 400 * 5 / 20, "b": 400}
    assert all(abs(count - expected[id[0]]) < 5 * 9 for id, count in counts.items()) and len(counts) == 25


def test_the_same_seed_draws_the_same_and_another_one_others() -> None:
    earlier = rows(a=50, b=50)
    drawn = draw(earlier, set(), 7, 4, by_prefix)
    assert len(drawn) == 7
    assert drawn == draw(iter(earlier), set(), 7, 4, by_prefix) != draw(earlier, set(), 7, 5, by_prefix)
    assert draw(earlier, set(), 0, 4, by_prefix) == draw([], set(), 7, 4, by_prefix) == []


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(1, 40), st.integers(0, 3), st.randoms(use_true_random=False)
)
def test_one_pass_in_any_order_gives_what_sorting_everything_would(
    sizes: list[int], count: int, seed: int, chance: random.Random
) -> None:
    everything = rows(**{f"t{number}": size for number, size in enumerate(sizes)})
    shuffled = chance.sample(everything, len(everything))
    drawn = draw(shuffled, set(), count, seed, by_prefix)
    assert drawn == draw(everything, set(), count, seed, by_prefix)
    assert len(drawn) == min(count, len(everything))
    places = Counter(map(by_prefix, drawn))
    full = {topic for topic, size in Counter(map(by_prefix, everything)).items() if places[topic] == size}
    short = [places[f"t{number}"] for number in range(len(sizes)) if f"t{number}" not in full]
    assert not short or (max(short) - min(short) <= 1 and max([places[topic] for topic in full], default=0) <= min(short) + 1)


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    earlier = rows(a=30, b=10)
    small, large = (draw(earlier, set(), count, 2, by_prefix) for count in (6, 20))
    assert {row.id for row in small} <= {row.id for row in large}


def test_requests_for_the_same_kind_of_thing_are_of_one_topic() -> None:
    assert topic("Write a poem about autumn.") == topic("please write me some poems for the sea") == "write poem"
    assert topic("What is the capital of France?") == topic("the CAPITAL of France, please") == "capita france"
    assert topic("Write a poem") != topic("Write an essay")
    assert topic("") == topic("2 + 2?") == topic("What is it?") == ""
