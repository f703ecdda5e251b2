"""Who tries what: as many as the share says, the same people as it grows, and nobody two versions."""

from __future__ import annotations

import pytest

from learner.assignment import Tried, assign, place
from learner.curate.split import split_of
from learner.rows import Split

PEOPLE = [f"person-{number}" for number in range(6000)]


def those(tried: Tried) -> set[str]:
    return {person for person in PEOPLE if assign(person, [tried])}


@pytest.mark.parametrize("slot", range(3))
@pytest.mark.parametrize("share", [0.0, 0.05, 0.25, 1 / 3])
def test_as_many_people_try_a_version_as_its_share_says(slot: int, share: float) -> None:
    """Within four standard errors of a binomial."""
    allowed = 4 * (share * (1 - share) / len(PEOPLE)) ** 0.5
    assert len(those(Tried("r1", slot, share))) / len(PEOPLE) == pytest.approx(share, abs=allowed)


def test_who_was_in_a_share_stays_in_it_as_it_grows() -> None:
    for slot in range(3):
        few, some = those(Tried("r1", slot, 0.05)), those(Tried("r1", slot, 0.25))
        assert few < some


def test_three_at_once_have_different_people_and_together_everybody() -> None:
    tried = [Tried(f"r{slot}", slot, 1 / 3) for slot in range(3)]
    groups = [those(one) for one in tried]
    assert sum(map(len, groups)) == len(set.union(*groups)) == len(PEOPLE)
    assert all(assign(person, tried) == assign(person, tried[::-1]) for person in PEOPLE)


def test_a_place_depends_on_nothing_but_the_person() -> None:
    assert place("person-1") == place("person-1") != place("person-2")
    assert all(0 <= place(person) < 1 for person in PEOPLE)


@pytest.mark.parametrize("slot", range(3))
def test_who_judges_candidates_is_no_more_often_in_one_trial_than_in_another(slot: int) -> None:
    """A quarter of the people are held out, and so is about a quarter of those who try a version."""
    trying = those(Tried("r1", slot, 1 / 3))
    judges = [person for person in trying if split_of(person, 0.25) is Split.HELDOUT]
    assert len(judges) / len(trying) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / len(trying)) ** 0.5)
