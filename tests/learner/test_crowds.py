"""Many accounts that are one person are held back together; honest people who share popular questions are not."""

from __future__ import annotations

from collections import Counter

import pytest

from learner.config import TrustSettings
from learner.curate.crowds import BURST, crowd_of, find_crowds, sift, sift_bursts
from tests.learner import voters
from tests.learner.voters import DAY_S, NOW_S, World, example

SETTINGS = TrustSettings()


def people_held(world: World) -> set[str]:
    return set(crowd_of(find_crowds(world.examples, world.created_at_s, SETTINGS)))


@pytest.mark.parametrize("popular", [8, 10, 15, 40])
def test_honest_people_who_ask_the_same_popular_questions_are_no_crowd(popular: int) -> None:
    assert people_held(voters.honest(popular=popular)) == set()


def test_people_who_all_came_and_voted_at_once_are_no_crowd_for_that() -> None:
    world = voters.honest()
    at_once = World([example("x", 0, "", "", None, 0)] * 0, dict.fromkeys(world.created_at_s, NOW_S - 2 * DAY_S))
    at_once.examples = [
        example(one.person_id, number, one.question, one.answer, one.thumb, NOW_S - DAY_S + number)
        for number, one in enumerate(world.examples)
    ]
    assert people_held(at_once) == set()


@pytest.mark.parametrize("votes", [1, 3, 10])
def test_a_brigade_of_new_accounts_is_one_crowd(votes: int) -> None:
    world = voters.honest() + voters.brigade(30, votes)
    crowds = find_crowds(world.examples, world.created_at_s, SETTINGS)
    kept, dropped = sift(world.examples, crowds)
    assert [len(crowd.people) for crowd in crowds] == [30]
    assert {one.cluster for one in dropped} == {crowds[0].name} and all(one.held for one in dropped)
    assert Counter(one.reason for one in dropped) == {"looks like one crowd of 30 accounts": 30 * votes}
    assert {one.person_id for one in kept} == set(voters.honest().created_at_s)


def test_a_brigade_larger_than_all_others_is_still_one_crowd() -> None:
    assert len(people_held(voters.honest(10) + voters.brigade(60))) == 60


@pytest.mark.parametrize("with_cover", [False, True])
def test_old_accounts_that_say_the_same_over_and_over_are_one_crowd(with_cover: bool) -> None:
    world = voters.honest()
    world += voters.colluders(5, 10, voters.honest() if with_cover else None)
    assert people_held(world) == {f"colluder-{number}" for number in range(5)}


def test_three_friends_who_ask_the_same_once_are_no_crowd() -> None:
    world = voters.honest()
    for number in range(3):
        person = f"honest-{7 * number + 1}"
        asked = example(
            person, 99, "How is the office printer reset?", "Hold its green key for ten seconds.", "up", NOW_S - number * 9000
        )
        world.examples.append(asked)
    assert people_held(world) == set()


def test_votes_quicker_than_anybody_reads_are_a_burst() -> None:
    def votes(person: str, count: int, every_s: float) -> list[voters.Example]:
        return [example(person, n, f"Question {n}?", f"Answer {n}.", "up", NOW_S + every_s * n) for n in range(count)]

    quick, slow, few = votes("quick", 60, 1.0), votes("slow", 60, 12.0), votes("few", 8, 0.1)
    kept, dropped = sift_bursts([*quick, *slow, *few], SETTINGS)
    assert {one.person_id for one in kept} == {"slow", "few"} and len(kept) == 68
    assert {(one.reason, one.held) for one in dropped} == {(BURST, True)} and len({one.cluster for one in dropped}) == 1


def test_where_everybody_is_quick_nobody_is_in_a_hurry() -> None:
    crowd = [example(f"p{n % 20}", n, f"Question {n}?", f"Answer {n}.", "up", NOW_S) for n in range(400)]
    assert sift_bursts(crowd, SETTINGS).dropped == []
