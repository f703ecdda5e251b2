"""Of the gate: only a candidate that is better for people, and not worse anywhere, gets through."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.config import GateSettings
from learner.gate import Case, Decision, SuiteScores, Verdict, VoteScore, choose, compare_suite, decide

GATE = GateSettings(min_heldout_votes=16)
MARGIN = 0.02
ITEMS = tuple(f"item-{number}" for number in range(100))


def suite(change: float = 0.0, noise: float = 0.0, veto: bool = False, since_base: float = 0.0, name: str = "facts") -> SuiteScores:
    """Live scores at random; the candidate's differ by `change`, give or take `noise` on every other item."""
    chance = random.Random(7)
    live = {item: 0.5 + chance.uniform(-0.2, 0.2) for item in ITEMS}
    candidate = {item: live[item] + change + (noise if n % 2 else -noise) for n, item in enumerate(ITEMS)}
    base = {item: live[item] - since_base for item in ITEMS}
    return SuiteScores(name, "ab", MARGIN, veto, ITEMS, live, candidate, base)


def votes(gain: float = 0.5, noise: float = 0.1, count: int = 40, people: int = 10, ups_of_ten: int = 5) -> list[VoteScore]:
    """Each person votes both ways; each vote says that the share of thumbs up would rise by `gain`, give or take noise."""
    chance = random.Random(3)
    made = []
    for number in range(count):
        up = number // people % 2 == 0 if ups_of_ten == 5 else number % 10 < ups_of_ten
        made.append(VoteScore(f"vote-{number}", f"person-{number % people}", 1 if up else -1, gain + chance.gauss(0, noise)))
    return made


def verdict(suites: Sequence[SuiteScores], cast: Sequence[VoteScore] | None = None) -> Verdict:
    return decide(Case(suites, votes() if cast is None else cast), GATE).verdict


def test_better_on_votes_and_equal_on_suites_is_promoted_and_both_are_told() -> None:
    decision = decide(Case([suite(), suite(name="veto", veto=True)], votes()), GATE)
    assert decision.verdict is Verdict.PROMOTE
    assert [reason.split(":")[0] for reason in decision.reasons] == ["facts", "veto", "held-out votes"]
    assert set(decision.suites) == {"facts", "veto"} and decision.suites["facts"].delta == 0
    assert decision.votes is not None and decision.votes.delta == pytest.approx(0.5, abs=0.1)


def test_a_loss_within_the_margin_is_allowed() -> None:
    assert verdict([suite(change=-0.9 * MARGIN)]) is Verdict.PROMOTE


def test_a_suite_that_dropped_beyond_its_margin_refuses_and_only_it_is_blamed() -> None:
    decision = decide(Case([suite(name="kept"), suite(change=-1.1 * MARGIN, name="lost")], votes()), GATE)
    assert decision.verdict is Verdict.REJECT
    assert [reason.split(":")[0] for reason in decision.reasons] == ["lost"]


def test_a_noisy_loss_refuses_by_its_bound_alone_only_in_a_veto_suite() -> None:
    noisy = {"change": -0.5 * MARGIN, "noise": 0.2}
    bound = decide(Case([suite(**noisy)], votes()), GATE).suites["facts"].lower_bound
    assert bound < -MARGIN
    assert verdict([suite(**noisy, veto=True)]) is Verdict.REJECT
    assert verdict([suite(**noisy, veto=False)]) is Verdict.INCONCLUSIVE


def test_a_worse_candidate_is_refused_even_where_something_else_is_unknown() -> None:
    assert verdict([suite(change=-0.1), suite(name="b")], []) is Verdict.REJECT
    assert verdict([suite(change=-0.1), msgspec.structs.replace(suite(name="b"), live={})]) is Verdict.REJECT
    assert verdict([suite()], votes(gain=-0.5)) is Verdict.REJECT


@pytest.mark.parametrize("whose", ["live", "candidate", "base"])
@pytest.mark.parametrize("spoil", ["missing", "extra", "nan", "inf", "-inf", "none at all"])
def test_scores_that_are_not_exactly_the_suites_items_never_promote(whose: str, spoil: str) -> None:
    scores = dict(getattr(suite(), whose))
    if spoil == "missing":
        del scores[ITEMS[3]]
    elif spoil == "none at all":
        scores.clear()
    else:
        scores["stranger" if spoil == "extra" else ITEMS[3]] = 0.5 if spoil == "extra" else float(spoil)
    decision = decide(Case([msgspec.structs.replace(suite(), **{whose: scores}), suite(name="b")], votes()), GATE)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert len(decision.reasons) == 1 and decision.reasons[0].startswith(f"facts: {whose} ")
    assert "facts" not in decision.suites


@pytest.mark.parametrize("size", [0, 1])
def test_a_suite_too_small_to_judge_by_is_inconclusive(size: int) -> None:
    scores = dict.fromkeys(ITEMS[:size], 0.5)
    assert verdict([SuiteScores("facts", "ab", MARGIN, False, ITEMS[:size], scores, scores, scores)]) is Verdict.INCONCLUSIVE


def test_without_suites_nothing_is_promoted() -> None:
    assert verdict([]) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "cast",
    [
        pytest.param([], id="none"),
        pytest.param(votes(count=15, people=5), id="one too few"),
        pytest.param(votes(people=2), id="two people"),
        pytest.param(votes(ups_of_ten=10), id="nobody disliked anything"),
        pytest.param(votes(count=30, ups_of_ten=9), id="three dislikes"),
        pytest.param([*votes(), VoteScore("x", "person-1", 1, math.nan)], id="a gain is not a number"),
        pytest.param([*votes(), VoteScore("x", "person-1", 1, -math.inf)], id="a gain is not finite"),
    ],
)
def test_too_few_or_broken_votes_never_promote(cast: list[VoteScore]) -> None:
    decision = decide(Case([suite(change=0.1)], cast), GATE)
    assert decision.verdict is Verdict.INCONCLUSIVE and decision.votes is None
    assert len(decision.reasons) == 1 and decision.reasons[0].startswith("held-out votes: ")


def test_a_gain_that_may_be_chance_or_is_too_small_to_matter_is_not_promoted() -> None:
    assert verdict([suite()], votes(gain=0.3, noise=1.0)) is not Verdict.PROMOTE
    assert verdict([suite()], votes(gain=0.5 * GATE.min_gain, noise=0.0)) is Verdict.INCONCLUSIVE


def test_small_losses_add_up_against_base_until_they_are_refused() -> None:
    step = 0.8 * MARGIN  # fine against live each time
    verdicts = [verdict([suite(change=-step, since_base=-step * before)]) for before in range(3)]
    assert verdicts == [Verdict.PROMOTE, Verdict.PROMOTE, Verdict.REJECT]
    [reason] = decide(Case([suite(change=-step, since_base=-2 * step)], votes()), GATE).reasons
    assert "against base" in reason


def test_an_advisory_suite_is_told_of_and_decides_nothing() -> None:
    lost = msgspec.structs.replace(suite(change=-0.5, name="lost"), advisory=True)
    unscored = msgspec.structs.replace(suite(name="unscored"), advisory=True, candidate={})
    decision = decide(Case([suite(), lost, unscored], votes()), GATE)
    assert decision.verdict is Verdict.PROMOTE and not any("lost" in reason for reason in decision.reasons)
    assert decision.suites["lost"].delta == pytest.approx(-0.5) and decision.suites["lost"].advisory
    assert compare_suite(lost, GATE).verdict is Verdict.REJECT
    assert verdict([lost]) is Verdict.INCONCLUSIVE  # advice alone is no evaluation


def test_copies_of_an_item_in_its_family_prove_no_more_than_it() -> None:
    noisy = suite(change=-0.5 * MARGIN, noise=0.2)
    families = tuple(f"family-{n // 10}" for n in range(len(ITEMS)))
    apart = decide(Case([noisy], votes()), GATE).suites["facts"]
    live = dict.fromkeys(ITEMS, 0.5)
    copied = {item: noisy.candidate[ITEMS[n // 10]] - noisy.live[ITEMS[n // 10]] + 0.5 for n, item in enumerate(ITEMS)}
    together = msgspec.structs.replace(noisy, live=live, base=live, candidate=copied, families=families)
    found = decide(Case([together], votes()), GATE).suites["facts"]
    assert found.delta - found.lower_bound > 2.5 * (apart.delta - apart.lower_bound)


def test_items_of_one_family_prove_nothing() -> None:
    alone = msgspec.structs.replace(suite(), families=("same",) * len(ITEMS))
    decision = decide(Case([alone], votes()), GATE)
    assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, ("facts: 100 items of one family prove nothing",))


def test_a_score_that_cannot_be_is_named() -> None:
    beyond = msgspec.structs.replace(suite(), limits=(0.0, 1.0), candidate={**suite().candidate, ITEMS[7]: 1.5})
    decision = decide(Case([beyond], votes()), GATE)
    assert decision.reasons == ("facts: candidate has 1.5 for 'item-7', expected 0 to 1",)
    assert decision.verdict is Verdict.INCONCLUSIVE


def test_of_many_suites_one_that_fell_by_chance_is_not_called_worse() -> None:
    """Each alone would be; of twenty, one falls so far by chance."""
    chance = random.Random(1)
    fell = suite(name="fell")
    fell = msgspec.structs.replace(fell, candidate={item: fell.live[item] - 0.03 + chance.gauss(0, 0.14) for item in ITEMS})
    assert compare_suite(fell, GATE).verdict is Verdict.REJECT
    others = [suite(noise=0.01, name=f"suite-{number}") for number in range(19)]
    assert decide(Case([fell, *others], votes()), GATE).verdict is Verdict.INCONCLUSIVE


def test_right_or_wrong_is_judged_by_the_items_that_turned() -> None:
    live = {item: float(n % 2) for n, item in enumerate(ITEMS)}
    candidate = {**live, **dict.fromkeys(ITEMS[1:17:2], 0.0), ITEMS[0]: 1.0}
    binary = SuiteScores("facts", "ab", MARGIN, False, ITEMS, live, candidate, live)
    found = decide(Case([binary], votes()), GATE).suites["facts"]
    assert (found.won, found.lost) == (1, 8)
    assert found.p_worse == pytest.approx(10 / 512)  # 8 or 9 of 9 turns


def test_what_the_votes_refuse_needs_no_suite() -> None:
    decision = decide(Case([], votes(gain=-0.5)), GATE)
    assert (decision.verdict, len(decision.reasons)) == (Verdict.REJECT, 1)
    assert verdict([], votes(gain=0.3, noise=1.0)) is Verdict.INCONCLUSIVE


def test_what_could_not_be_evaluated_says_why() -> None:
    decision = decide(Case([suite()], votes(), failure="the engine is gone"), GATE)
    assert (decision.verdict, decision.reasons, decision.suites) == (Verdict.INCONCLUSIVE, ("the engine is gone",), {})


def test_a_cycle_that_may_err_less_asks_for_more() -> None:
    cast = votes(gain=0.15, noise=0.2)
    assert decide(Case([suite()], cast, vote_alpha=0.05), GATE).verdict is Verdict.PROMOTE
    assert decide(Case([suite()], cast, vote_alpha=0.00001), GATE).verdict is Verdict.INCONCLUSIVE


def vote_on(number: int, person: int, label: int, moved: float) -> VoteScore:
    """A vote on an answer that the candidate moved by so much, beside a baseline of one half."""
    return VoteScore(str(number), f"{person}", label, moved * label / 2)


def unclustered(chance: random.Random) -> list[VoteScore]:
    """Forty votes, about seven in ten up, of ten people; the candidate's changes are nothing but noise."""
    labels = [1 if chance.random() < 0.7 else -1 for _ in range(40)]
    return [vote_on(n, n % 10, label, chance.gauss(0, 0.3)) for n, label in enumerate(labels)]


def clustered(chance: random.Random) -> list[VoteScore]:
    """The same, but most of the noise is a person's: of all their answers, and of their liked over disliked ones."""
    style = [chance.gauss(0, 0.3) for _ in range(10)]
    taste = [chance.gauss(0, 0.3) for _ in range(10)]
    made = []
    for number in range(40):
        who, label = number % 10, 1 if chance.random() < 0.7 else -1
        made.append(vote_on(number, who, label, style[who] + label * taste[who] / 2 + chance.gauss(0, 0.1)))
    return made


def one_sided(chance: random.Random) -> list[VoteScore]:
    """Half of the people only ever vote up, half only down."""
    style = [chance.gauss(0, 0.3) for _ in range(10)]
    return [vote_on(n, n % 10, 1 if n % 10 < 5 else -1, style[n % 10]) for n in range(40)]


def one_critic(chance: random.Random) -> list[VoteScore]:
    """Every dislike comes from one person."""
    style = [chance.gauss(0, 0.3) for _ in range(10)]
    return [vote_on(n, n % 10, 1 if n % 10 else -1, style[n % 10]) for n in range(40)]


@pytest.mark.parametrize("cast", [unclustered, clustered, one_sided, one_critic])
def test_a_candidate_that_changed_nothing_people_care_about_is_hardly_ever_promoted(
    cast: Callable[[random.Random], list[VoteScore]],
) -> None:
    chance, equal = (
        random.Random(1),
        SuiteScores("facts", "ab", MARGIN, False, *(("a", "b"), *[{"a": 0.5, "b": 0.5}] * 3)),
    )
    promoted = sum(decide(Case([equal], cast(chance), vote_alpha=0.01), GATE).verdict is Verdict.PROMOTE for _ in range(2000))
    assert promoted / 2000 <= 0.015


def test_one_candidate_is_judged_as_if_there_were_no_choice() -> None:
    choice = choose({"r1": Case([suite()], votes())}, GATE)
    decision = decide(Case([suite()], votes()), GATE)
    assert (choice.adapter, choice.others) == ("r1", {})
    assert (choice.verdict, choice.reasons, choice.suites, choice.votes) == msgspec.structs.astuple(decision)


def test_of_those_that_pass_the_surest_gain_is_chosen_and_the_others_keep_their_reasons() -> None:
    choice = choose(
        {
            "gains less": Case([suite()], votes(gain=0.3)),
            "gains more but breaks a suite": Case([suite(change=-0.5)], votes(gain=0.9)),
            "chosen": Case([suite()], votes(gain=0.5)),
            "noisy": Case([suite()], votes(gain=0.7, noise=3.0)),
        },
        GATE,
    )
    assert (choice.adapter, choice.verdict) == ("chosen", Verdict.PROMOTE)
    assert {name: other.verdict for name, other in choice.others.items()} == {
        "gains less": Verdict.PROMOTE,
        "gains more but breaks a suite": Verdict.REJECT,
        "noisy": Verdict.INCONCLUSIVE,
    }
    assert all(other.reasons for other in choice.others.values())


def test_where_none_passes_the_verdict_is_that_on_the_nearest() -> None:
    worse, unsure = Case([suite(change=-0.5)], votes()), Case([suite()], votes(gain=0.3, noise=1.0))
    assert choose({"a": worse, "b": unsure}, GATE).verdict is Verdict.INCONCLUSIVE
    assert choose({"a": worse, "b": worse}, GATE).verdict is Verdict.REJECT


@pytest.mark.parametrize("cast", [clustered, one_sided])
def test_several_candidates_that_changed_nothing_get_one_through_no_more_often_than_one_does(
    cast: Callable[[random.Random], list[VoteScore]],
) -> None:
    """Four a cycle, each asked with the whole error, would err four times as often."""
    chance = random.Random(1)
    equal = SuiteScores("facts", "ab", MARGIN, False, *(("a", "b"), *[{"a": 0.5, "b": 0.5}] * 3))
    cycles = [[Case([equal], cast(chance), vote_alpha=0.05) for _ in range(4)] for _ in range(600)]
    promoted = sum(choose(dict(zip("abcd", cases, strict=True)), GATE).verdict is Verdict.PROMOTE for cases in cycles)
    greedy = sum(any(decide(one, GATE).verdict is Verdict.PROMOTE for one in cases) for cases in cycles)
    assert promoted / 600 <= 0.07 < greedy / 600


# Scores in 1/64ths: sums of them are exact, so an order or a shift cannot change a verdict by rounding.
grid = st.integers(-64, 64).map(lambda n: n / 64)
losses = st.integers(1, 64).map(lambda n: n / 64)


@st.composite
def cases(draw: st.DrawFn) -> tuple[SuiteScores, list[VoteScore]]:
    items = tuple(f"i{n}" for n in range(draw(st.integers(2, 8))))
    live = {item: draw(grid) for item in items}
    change = draw(grid)
    candidate = {item: live[item] + change + draw(grid) / 8 for item in items}
    base = {item: live[item] + draw(grid) / 8 for item in items}
    gain = draw(grid)
    cast = [
        VoteScore(f"v{n}", f"p{draw(st.integers(0, 4))}", label, gain + draw(grid) / 8)
        for n, label in enumerate(draw(st.lists(st.sampled_from([1, -1]), min_size=14, max_size=24)))
    ]
    return SuiteScores("s", "ab", draw(st.sampled_from([0.02, 0.5])), draw(st.booleans()), items, live, candidate, base), cast


def numbers(decision: Decision) -> list[float]:
    compared = [*decision.suites.values(), *([decision.votes] if decision.votes else [])]
    return [number for comparison in compared for number in msgspec.structs.astuple(comparison)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_items_and_votes_does_not_matter(case: tuple[SuiteScores, list[VoteScore]], chance: random.Random) -> None:
    scores, cast = case
    first = decide(Case([scores], cast), GATE)
    assert decide(Case([scores], cast), GATE) == first

    def shuffled(values: Sequence) -> list:  # type: ignore[type-arg]
        return chance.sample(list(values), len(values))

    mixed = {who: dict(shuffled(getattr(scores, who).items())) for who in ("live", "candidate", "base")}
    again = decide(Case([msgspec.structs.replace(scores, items=tuple(shuffled(scores.items)), **mixed)], shuffled(cast)), GATE)
    assert again.verdict is first.verdict
    assert numbers(again) == pytest.approx(numbers(first), abs=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(cases(), losses, losses)
def test_a_candidate_made_worse_throughout_is_never_promoted_where_it_was_not(
    case: tuple[SuiteScores, list[VoteScore]], on_suites: float, on_votes: float
) -> None:
    scores, cast = case
    if decide(Case([scores], cast), GATE).verdict is Verdict.PROMOTE:
        return
    worse = msgspec.structs.replace(scores, candidate={item: score - on_suites for item, score in scores.candidate.items()})
    less_liked = [msgspec.structs.replace(vote, gain=vote.gain - on_votes) for vote in cast]
    for one, other in ((worse, cast), (scores, less_liked), (worse, less_liked)):
        assert decide(Case([one], other), GATE).verdict is not Verdict.PROMOTE
