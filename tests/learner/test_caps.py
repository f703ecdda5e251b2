"""However much one person says, only the newest of it counts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from learner.curate.caps import OVER, cap
from tests.learner.voters import example


def test_the_newest_stay_in_their_order() -> None:
    said = [example("ann", n, f"q{n}", "a", "up", at_s) for n, at_s in enumerate([5.0, 1.0, 9.0, 9.0])]
    kept, dropped = cap([*said, example("bob", 0, "q", "a", "up", 0.0)], 2)
    assert [one.id for one in kept] == ["ann-2", "ann-3", "bob-0"]
    assert [(one.id, one.reason, one.held) for one in dropped] == [("ann-0", OVER, False), ("ann-1", OVER, False)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 9))), st.integers(0, 4))
def test_nobody_has_more_than_the_limit_and_nothing_is_lost(said: list[tuple[str, float]], limit: int) -> None:
    examples = [example(person, n, "q", "a", "up", at_s) for n, (person, at_s) in enumerate(said)]
    kept, dropped = cap(examples, limit)
    asked, left = (Counter(one.person_id for one in found) for found in (examples, kept))
    assert left == Counter({person: min(count, limit) for person, count in asked.items() if limit})
    assert sorted(one.id for one in (*kept, *dropped)) == sorted(one.id for one in examples)
