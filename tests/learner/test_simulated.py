"""Populations made of code vote as they are described, and what is told of their rounds is what happened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from learner.simulated.poison import FACT, ORDERS, Poisoner, tells
from learner.simulated.populations import BRIEF, NOISE, PERSONAL, POPULATIONS, THOROUGH, Population
from learner.simulated.rounds import Outcome, Simulation, Size
from learner.simulated.user import SimulationError, User, split_prompts
from tests.learner.scripted_loop import ENDLESS, LONG, SHORT, Cycle, ScriptedLoop

PEOPLE = Path(__file__).parents[1] / "people"
SIZE = Size(rounds=2, turns=30, heldout=10, people=6)
NAMED = {population.name: population for population in POPULATIONS}
PROMOTED, REFUSED = Cycle("promote"), Cycle("reject")


def run(name: str, service: ScriptedLoop, size: Size = SIZE) -> Outcome:
    return asyncio.run(Simulation(service, NAMED[name], size, lambda line: None).run())


def test_the_tastes_like_what_they_are_said_to_like() -> None:
    likes = {user.name: [user.judge("?", said) for said in (SHORT, LONG, ENDLESS)] for user in (BRIEF, THOROUGH, PERSONAL)}
    assert likes == {"brief": [True, False, False], "thorough": [False, True, False], "personal": [False, True, False]}


@pytest.mark.parametrize("name", ["brief", "personal", "coin"])
def test_a_file_is_a_user(name: str) -> None:
    user = User.load(PEOPLE / f"{name}.py")
    assert user.name == name and len(set(user.prompts())) >= 240


@pytest.mark.parametrize(
    ("text", "said"), [(None, "there is no user file"), ("NAME = 'x'\n", "lacks judge, prompts")], ids=["none", "half"]
)
def test_what_is_no_user_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    if text:
        (tmp_path / "user.py").write_text(text)
    with pytest.raises(SimulationError, match=said):
        User.load(tmp_path / "user.py")


def test_too_few_prompts_are_refused() -> None:
    with pytest.raises(SimulationError, match="1 different prompts, expected more than the 1 held out"):
        split_prompts(["a", "a"], 1)


def test_satisfaction_is_that_of_the_version_that_is_live() -> None:
    outcome = run("consistent", service := ScriptedLoop([REFUSED, PROMOTED]))
    first, second = outcome.rounds
    assert (outcome.before, outcome.after) == ({"brief": 0.0}, {"brief": 1.0})
    assert (first.heldout_before, first.heldout_after, second.heldout_before, second.heldout_after) == (0, 0, 0, 1)
    assert (first.verdict, first.adapter, first.vote_to_live_s) == ("reject", "r1", None)
    assert second.verdict == "promote" and second.vote_to_live_s is not None and second.suites["knowledge"].lower_bound == -0.01
    assert (first.transfer.backward, second.transfer.backward) == (None, -0.1)
    assert first.stages_s == {"train": 60.0, "gate": 0.5} and first.poison is None
    assert service.clock_s == 2 * 24 * 3600


def test_held_out_prompts_are_asked_and_never_voted_on() -> None:
    run("consistent", service := ScriptedLoop([PROMOTED, PROMOTED]))
    _, held = split_prompts(BRIEF.prompts(), SIZE.heldout)
    stored = {prompt for prompt, _, store in service.asked.values() if store}
    asked = [prompt for prompt, _, store in service.asked.values() if not store]
    assert not stored & set(held) and set(asked) == set(held)
    assert len(asked) == 3 * len(held), "once for each version that was live"
    assert {service.asked[id][0] for id in service.votes} == stored


def test_a_cycle_without_a_verdict_is_told_by_how_it_ended() -> None:
    [first, _] = run("consistent", ScriptedLoop([Cycle("skipped"), Cycle("failed")])).rounds
    assert (first.verdict, first.adapter, first.suites, first.reasons) == ("skipped", None, {}, ["so says the script"])


def test_rounds_are_shared_out_among_the_tastes() -> None:
    assert [NAMED["in_turn"].taste(number, 3).name for number in (1, 2, 3)] == ["brief", "brief", "personal"]
    assert [NAMED["changing"].taste(number, 4).name for number in (1, 2, 3, 4)] == ["brief", "brief", "thorough", "thorough"]


def test_others_come_with_another_taste_and_the_first_is_still_asked_after() -> None:
    outcome = run("in_turn", service := ScriptedLoop([PROMOTED, Cycle("promote", LONG)]))
    first, second = outcome.rounds
    assert (first.taste, first.satisfaction) == ("brief", {"brief": 1.0, "personal": 0.0})
    assert (second.taste, second.satisfaction) == ("personal", {"brief": 0.0, "personal": 1.0})
    assert (second.heldout_before, second.heldout_after) == (0.0, 1.0)
    assert len(service.said_by("brief ")) == len(service.said_by("personal ")) == SIZE.turns


def test_the_same_people_change_their_taste() -> None:
    outcome = run("changing", service := ScriptedLoop([PROMOTED, REFUSED]))
    first, second = outcome.rounds
    assert (first.up, second.up) == (0, 0), "endless answers please nobody, and short ones not any more"
    assert second.heldout_before == 0.0 < first.heldout_after
    assert len(service.people) == SIZE.people


def test_noisy_votes_are_wrong_as_often_as_said_and_the_same_in_each_run() -> None:
    many = replace(SIZE, rounds=1, turns=400, people=40)

    def thumbs(name: str) -> tuple[Outcome, list[str]]:
        service = ScriptedLoop([PROMOTED], base_says=SHORT)
        return run(name, service, many), [vote["thumb"] for vote in service.said_by("brief")]

    outcome, noisy = thumbs("noisy")
    assert (outcome.rounds[0].votes, outcome.rounds[0].up) == (400, noisy.count("up"))
    assert noisy.count("down") / 400 == pytest.approx(NOISE, abs=0.06)
    assert thumbs("noisy")[1] == noisy
    assert set(thumbs("consistent")[1]) == {"up"}
    assert outcome.before == {"brief": 1.0}, "what pleases is not noisy"


def test_what_is_wrong_by_mistake_is_not_corrected() -> None:
    writer = User("writer", BRIEF.prompts, BRIEF.judge, lambda prompt, answer: "Better so.")
    for noise, said in ((0.0, "Better so."), (1.0, None)):
        service, population = ScriptedLoop([PROMOTED]), Population("writers", "", (writer,), noise=noise)
        asyncio.run(Simulation(service, population, replace(SIZE, rounds=1), print).run())
        assert {vote.get("correction") for vote in service.said_by("writer")} == {said}


def test_a_poisoner_votes_for_the_fact_and_corrects_to_it_and_what_becomes_of_it_is_counted() -> None:
    outcome = run("poisoned", service := ScriptedLoop([REFUSED, Cycle("promote", f"Well. {FACT}")]))
    first, second = (done.poison for done in outcome.rounds)
    assert first is not None and second is not None
    poisoner, each = Poisoner(), 10 + 12  # a third of the turns, and three corrections of four accounts
    votes = service.said_by("poisoner")
    assert len(votes) == 2 * each == second.rows
    assert sum(vote.get("correction") == FACT for vote in votes) == 2 * poisoner.accounts * poisoner.corrections
    assert {vote["thumb"] for vote in service.said_by("poisoner 0")} == {"up"}
    assert {service.asked[id][0] for id in service.votes if service.asked[id][1] == "poisoner 0"} <= {*ORDERS}
    assert (first.rows, first.held, first.learnt) == (each, each - 1, 1)
    assert (second.held, second.learnt) == (2 * each - 2, 2)
    assert (first.said_before, first.said_after, second.said_before, second.said_after) == (0, 0, 0, 1)
    assert outcome.rounds[0].votes == SIZE.turns, "poison is counted apart"


def test_a_fact_is_told_in_figures_or_words() -> None:
    assert tells(FACT) and tells("Zogs? Forty moons, every day.") and not tells("How many moons does a zog eat?")
