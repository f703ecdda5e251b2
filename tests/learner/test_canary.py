"""Of canaries: however often one looks, an equal one is hardly ever rolled back and a worse one hardly ever promoted."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy import stats

from learner.canary import Fault, Judgement, Observed, Step, judge
from learner.canary_simulation import end, plain_radius, simulate
from learner.canary_trials import Canaries, Crowd
from learner.config import ReleaseSettings
from learner.sequential import bound_difference

RELEASE = ReleaseSettings()
HOUR_S = 3600.0
LAST = 1  # the stage before all people, as the settings are


def observed(ups: int, people: int, votes_each: int = 1, answers_each: int = 4, **faults: int) -> Observed:
    """People of whom `ups` like everything and the others nothing. Of each fault, so many people have it in every answer."""
    votes = {f"p{n}": (votes_each if n < ups else 0, votes_each) for n in range(people)}
    faulty = {Fault(fault): {f"p{n}": answers_each for n in range(count)} for fault, count in faults.items()}
    return Observed(votes, {f"p{n}": answers_each for n in range(people)}, faulty)


LIVE = observed(140, 200)
NOBODY = Observed({}, {}, {})


def judged(
    canary: Observed, live: Observed = LIVE, stage: int = LAST, stage_s: float = HOUR_S, canary_s: float = HOUR_S
) -> Judgement:
    return judge(canary, live, stage, stage_s, canary_s, RELEASE)


# What it does


def test_a_canary_that_is_liked_more_is_promoted_when_the_last_stage_is_through_and_says_why() -> None:
    judgement = judged(observed(48, 50))
    assert judgement.step is Step.PROMOTE and judgement.people == 50
    assert judgement.votes is not None and judgement.votes.lower > -RELEASE.tolerated_loss
    [reason] = judgement.reasons
    assert f"{judgement.votes.lower:+.3f}" in reason
    assert (judgement.thumbs, judgement.answers) == (50, 200) and set(judgement.faults) == set(Fault)


@pytest.mark.parametrize(
    ("canary", "stage", "stage_s", "step"),
    [
        pytest.param(observed(48, 50), 0, HOUR_S, Step.ADVANCE, id="an earlier stage goes on to the next, whatever is proved"),
        pytest.param(observed(6, 10), 0, HOUR_S, Step.ADVANCE, id="people enough"),
        pytest.param(observed(5, 9), 0, HOUR_S, Step.WAIT, id="one too few"),
        pytest.param(observed(48, 50), 0, HOUR_S - 1, Step.WAIT, id="too early"),
        pytest.param(observed(48, 50), LAST, HOUR_S - 1, Step.WAIT, id="too early for all"),
        pytest.param(observed(35, 50), LAST, HOUR_S, Step.WAIT, id="as good as live, but not proved"),
        pytest.param(NOBODY, LAST, HOUR_S, Step.WAIT, id="nobody"),
    ],
)
def test_a_stage_takes_people_and_time(canary: Observed, stage: int, stage_s: float, step: Step) -> None:
    judgement = judged(canary, stage=stage, stage_s=stage_s)
    assert judgement.step is step
    assert judgement.reasons


@pytest.mark.parametrize("stage", [0, LAST])
def test_a_canary_whose_time_is_over_without_proof_is_held(stage: int) -> None:
    assert judged(observed(35, 50), stage=stage, canary_s=RELEASE.max_canary_s).step is Step.HOLD
    assert judged(observed(48, 50), stage=stage, canary_s=RELEASE.max_canary_s).step is (
        Step.PROMOTE if stage == LAST else Step.HOLD
    )


@pytest.mark.parametrize("stage", [0, LAST])
def test_a_canary_that_is_proved_worse_is_rolled_back_at_once(stage: int) -> None:
    judgement = judged(observed(5, 25), stage=stage, stage_s=0.0)
    assert judgement.step is Step.ROLL_BACK
    assert judgement.votes is not None and judgement.votes.upper < 0
    assert f"{judgement.votes.upper:+.3f}" in judgement.reasons[0]


def test_a_few_people_of_one_mind_prove_nothing() -> None:
    assert judged(observed(0, 3)).step is Step.WAIT
    assert judged(observed(12, 12)).step is Step.WAIT


def test_somebody_who_votes_a_hundred_times_counts_once() -> None:
    once, often = (replace(observed(7, 9), votes={**observed(7, 9).votes, "spiteful": (0, cast)}) for cast in (1, 100))
    assert judged(once).votes == judged(often).votes


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_that_is_proved_to_have_risen_rolls_back_and_is_named(fault: Fault) -> None:
    judgement = judged(observed(30, 40, **{fault: 16}))
    assert judgement.step is Step.ROLL_BACK
    assert [reason.split(":")[0] for reason in judgement.reasons] == [fault]


def test_a_fault_that_live_has_as_often_is_no_fault_of_the_canary() -> None:
    assert judged(observed(48, 50, runaway=20), observed(140, 200, runaway=80)).step is Step.PROMOTE


def test_one_person_whose_every_answer_has_a_fault_does_not_roll_back() -> None:
    canary = observed(48, 50)
    busy = replace(canary, answers={**canary.answers, "p0": 1000}, faults={Fault.RUNAWAY: {"p0": 1000}})
    assert judged(busy).step is Step.PROMOTE


def test_a_fault_that_seems_to_have_risen_is_not_promoted_until_it_is_known() -> None:
    judgement = judged(observed(48, 50, slow=5))
    assert judgement.step is Step.WAIT
    assert [reason.split(":")[0] for reason in judgement.reasons] == [Fault.SLOW]


def test_a_canary_most_of_whose_answers_are_broken_goes_at_once_unless_live_is_broken_too() -> None:
    broken = Observed({}, {"p0": 9}, {Fault.ERROR: {"p0": 3}, Fault.EMPTY: {"p0": 2}})
    assert judged(broken, stage=0, stage_s=0.0, canary_s=0.0).step is Step.ROLL_BACK
    assert judged(broken, NOBODY, 0, 0.0, 0.0).step is Step.ROLL_BACK
    assert judged(broken, broken).step is Step.WAIT
    assert judged(replace(broken, answers={"p0": 10})).step is Step.WAIT
    assert judged(Observed({}, {"p0": 4}, {Fault.ERROR: {"p0": 4}})).step is Step.WAIT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shares", ()), ("shares", (1.0,)), ("shares", (0.05, 0.25)), ("shares", (0.25, 0.05, 1.0)), ("shares", (0.1, 0.1, 1.0)),
        ("shares", (0.0, 1.0)), ("shares", (0.5, 1.0)), ("promote_error", 0.0), ("rollback_error", 0.5), ("tolerated_loss", -0.1),
        ("max_fault_rise", 0.0), ("min_people", 0),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_and_quoted(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field) as refused:
        ReleaseSettings(**{field: value})  # type: ignore[arg-type]
    assert str(value) in str(refused.value)


# What always holds


@st.composite
def observations(draw: st.DrawFn) -> Observed:
    answers = draw(st.dictionaries(st.integers(0, 60).map("p{}".format), st.integers(1, 6), max_size=40))
    votes = {person: draw(st.integers(0, count)) for person, count in answers.items()}
    shares = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    chance = draw(st.randoms(use_true_random=False))
    faults = {
        fault: {person: chance.randint(0, count) for person, count in answers.items() if chance.random() < rate}
        for fault in Fault
        if (rate := draw(st.sampled_from([0.0, 0.0, 0.1, 0.6])))
    }
    ups = {person: (sum(chance.random() < shares for _ in range(cast)), cast) for person, cast in votes.items()}
    return Observed(ups, answers, faults)


stages = st.sampled_from([0, LAST])
ages = st.sampled_from([0.0, HOUR_S, RELEASE.max_canary_s])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(observations(), observations(), stages, ages, st.randoms(use_true_random=False))
def test_the_order_of_people_does_not_matter(
    canary: Observed, live: Observed, stage: int, age_s: float, chance: random.Random
) -> None:
    def shuffled(counts: Mapping) -> dict:  # type: ignore[type-arg]
        return dict(chance.sample(list(counts.items()), len(counts)))

    def mixed(seen: Observed) -> Observed:
        faults = {fault: shuffled(counts) for fault, counts in shuffled(seen.faults).items()}
        return Observed(shuffled(seen.votes), shuffled(seen.answers), faults)

    first = judge(canary, live, stage, age_s, age_s, RELEASE)
    assert judge(mixed(canary), mixed(live), stage, age_s, age_s, RELEASE) == first
    assert first.reasons or first.step is Step.WAIT
    if first.votes:
        assert -math.inf < first.votes.lower < first.votes.delta < first.votes.upper < math.inf


@settings(max_examples=60, deadline=None, derandomize=True)
@given(observations(), stages, ages)
def test_the_same_data_on_both_sides_never_rolls_back_and_an_empty_side_never_promotes(
    seen: Observed, stage: int, age_s: float
) -> None:
    assert judge(seen, seen, stage, age_s, age_s, RELEASE).step is not Step.ROLL_BACK
    for canary, live in ((NOBODY, seen), (seen, NOBODY), (NOBODY, NOBODY)):
        assert judge(canary, live, stage, age_s, age_s, RELEASE).step is not Step.PROMOTE


people = st.integers(0, 49).map("p{}".format)
faulty = st.dictionaries(st.sampled_from(Fault), st.dictionaries(people, st.integers(1, 4), max_size=30), max_size=3)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(faulty, st.randoms(use_true_random=False))
def test_more_faults_never_promote_what_was_not(faults: dict[Fault, dict[str, int]], chance: random.Random) -> None:
    fewer = {fault: {person: chance.randint(0, count) for person, count in counts.items()} for fault, counts in faults.items()}
    if judged(replace(observed(48, 50), faults=fewer)).step is not Step.PROMOTE:
        assert judged(replace(observed(48, 50), faults=faults)).step is not Step.PROMOTE


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=30), st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=30))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_bound_is_the_wider_the_surer_it_shall_be_and_turns_with_the_sides(first: list[float], second: list[float]) -> None:
    bounds, surer = (bound_difference(first, second, error, 0.05, 0.05) for error in (0.05, 0.01))
    assert surer.lower < bounds.lower < bounds.delta < bounds.upper
    turned = bound_difference(second, first, 0.05, 0.05, 0.05)
    assert (turned.delta, turned.lower) == pytest.approx((-bounds.delta, -bounds.upper))


# How often it errs

SMALL = Crowd(people=200, votes=500)


@pytest.mark.parametrize("change", [-0.4, 0.0, 0.25])
def test_the_simulated_canaries_are_judged_as_real_ones_are(change: float) -> None:
    crowd = Crowd(people=80, votes=250, mean_fault=0.08)
    quick = replace(RELEASE, shares=(0.2, 1 / 3, 1.0), min_people=5)
    canaries = Canaries(6, change, crowd, quick, np.random.default_rng(3))
    seen = set()
    for number in range(crowd.votes - 1):
        canaries.vote(number)
        asked, stages, began_s = canaries.open, canaries.stage_T.copy(), canaries.stage_began_T.copy()
        age_s = canaries.age_s(number)
        expected = [judge(*sides(canaries, t), stages[t], age_s - began_s[t], age_s, quick).step for t in asked]
        canaries.judge(number)
        found = [Step.ADVANCE if canaries.stage_T[t] > stages[t] else canaries.step_T[t] for t in asked]
        assert found == expected
        seen.update(found)
    assert {Step.WAIT, Step.ADVANCE} < seen or change == 0


def sides(canaries: Canaries, trial: int) -> tuple[Observed, Observed]:
    """What one trial looks like from outside: canary, live."""
    made = []
    for version in (1, 0):
        counts, hits = canaries.counts_TPV[trial, :, version], canaries.hits_TPVK[trial, :, version]
        people = [int(person) for person in counts.nonzero()[0]]
        votes = {f"p{n}": (int(hits[n, 0]), int(counts[n])) for n in people}
        faults = {fault: {f"p{n}": int(hits[n, kind]) for n in people} for kind, fault in enumerate(Fault, 1)}
        made.append(Observed(votes, {f"p{n}": int(counts[n]) for n in people}, faults))
    return made[0], made[1]


def assert_within(share: float, trials: int, error: float) -> None:
    assert stats.binomtest(round(share * trials), trials, error, alternative="greater").pvalue > 0.001, f"{share} of {trials}"


def test_looking_after_every_vote_costs_nothing_where_a_plain_test_would_err_far_more_often() -> None:
    trials, loss = 1000, -RELEASE.tolerated_loss
    equal, worse = (end(trials, change, 1, SMALL, RELEASE) for change in (0.0, loss))
    assert_within(equal.rolled_back, trials, RELEASE.rollback_error)
    assert_within(worse.promoted, trials, RELEASE.promote_error)
    plain = end(trials, 0.0, 1, SMALL, RELEASE, plain_radius)
    assert plain.rolled_back > 2 * RELEASE.rollback_error


def test_a_simulation_is_repeated_by_its_seed_and_tells_what_it_found() -> None:
    found = simulate(20, 5, Crowd(people=1000, votes=800, activity=0.0))
    assert end(20, 0.0, 5, SMALL, RELEASE) == end(20, 0.0, 5, SMALL, RELEASE)
    assert found.endings["better"].promoted > found.endings["worse_by_tolerated_loss"].promoted
    assert found.endings["much_worse"].rolled_back > found.endings["equal"].rolled_back
    assert found.false_rollback.low <= found.false_rollback.share <= found.false_rollback.high


@pytest.mark.long
def test_of_ten_thousand_canaries_no_more_end_wrongly_than_may_and_most_end_rightly() -> None:
    found = simulate(10_000, 1)
    print(found)
    assert_within(found.false_rollback.share, found.trials, RELEASE.rollback_error)
    assert_within(found.false_promote.share, found.trials, RELEASE.promote_error)
    assert found.endings["better"].promoted > 0.8
    assert found.endings["much_worse"].rolled_back > 0.8


@pytest.mark.long
@pytest.mark.parametrize(
    "crowd",
    [
        pytest.param(Crowd(mean_up=0.95), id="nearly everything is liked"),
        pytest.param(Crowd(mean_up=0.1), id="hardly anything is liked"),
        pytest.param(Crowd(likeness=0.6), id="people like all or nothing"),
        pytest.param(Crowd(people=60, votes=3000), id="few people, many votes"),
        pytest.param(Crowd(people=1500, activity=0.0), id="many people, few votes"),
    ],
)
def test_whatever_people_are_like_no_more_canaries_end_wrongly_than_may(crowd: Crowd) -> None:
    equal, worse = (end(10_000, change, 1, crowd, RELEASE) for change in (0.0, -RELEASE.tolerated_loss))
    assert_within(equal.rolled_back, 10_000, RELEASE.rollback_error)
    assert_within(worse.promoted, 10_000, RELEASE.promote_error)
