"""Of the self-test: it plants what it says, tells the truth about the gate, and would find a gate that is broken."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from learner.config import GateSettings
from learner.gate import Case, Verdict, decide
from learner.selftest.draw import draw_suite, draw_votes, people_of
from learner.selftest.measured import Measured, MeasuredSuite, MeasuredVote, NothingMeasured, Pair, load_measured
from learner.selftest.run import run_selftest
from learner.selftest.tamper import WAYS

GATE = GateSettings()


def suite(name: str, change: float = 0.0, noise: float = 0.03) -> MeasuredSuite:
    chance = random.Random(name)
    live = [chance.uniform(0.2, 0.8) for _ in range(250)]
    candidate = [score + change + chance.gauss(0, noise) for score in live]
    return MeasuredSuite(name, 0.02, False, [f"{name}-{n // 2}" for n in range(250)], live, candidate, live)


def votes(gain: float) -> list[MeasuredVote]:
    """Of thirty people, some of whom vote more than others."""
    chance = random.Random(4)
    made = []
    for person in range(30):
        for _ in range(chance.randint(1, 6)):
            label = chance.choice([1, -1])
            made.append(MeasuredVote(person, label, gain + chance.gauss(0, 0.08)))
    return made


SOUND = Pair([suite("facts", -0.005), suite("manners", 0.01)], votes(0.1))
HOLLOW = Pair([suite("facts", -0.1), suite("manners", 0.0)], votes(0.5), hollow=True)
MEASURED = Measured([SOUND, HOLLOW])


def test_the_gate_meets_what_is_promised_of_it() -> None:
    found = run_selftest(MEASURED, GATE, trials=150)
    assert set(found.false_promote) == {"null", "degraded", "hollow", "tampered"} == set(found.greedy.false_promote)
    assert found.false_promote["null"] <= 0.05 and found.false_promote["tampered"] == 0
    assert found.intervals["degraded"][0] <= 0.01 and found.intervals["hollow"][0] <= 0.01
    assert found.null_over_cycles_interval[0] <= 0.05
    assert found.false_reject["better"] <= 0.2
    assert found.greedy.false_promote["null"] > 0.2


def test_the_same_seed_gives_the_same_rates_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    first, again = (run_selftest(MEASURED, GATE, 10, seed, lambda *step: told.append(step)) for seed in (1, 1))
    assert first == again and told == [(1, 5), (2, 5), (3, 5), (4, 5)] * 2


def test_a_gate_that_lets_too_much_through_is_found_out() -> None:
    loose = msgspec.structs.replace(GATE, promote_error=0.6, min_gain=-1.0)
    found = run_selftest(MEASURED, loose, trials=100)
    assert found.null_over_cycles > 0.3 > 0.05


def test_a_drawn_suite_changes_by_what_was_planted_and_keeps_its_families() -> None:
    chance = np.random.default_rng(0)
    changes = []
    for _ in range(300):
        drawn = draw_suite(SOUND.suites[0], chance, -0.04)
        assert len(drawn.items) == len(drawn.families) == 250 and len(set(drawn.families)) == 125
        changes.append(np.mean([drawn.candidate[item] - drawn.live[item] for item in drawn.items]))
        assert drawn.base == drawn.live
    assert float(np.mean(changes)) == pytest.approx(-0.04, abs=0.001)


def test_drawn_votes_gain_what_was_planted() -> None:
    chance, people = np.random.default_rng(0), people_of([SOUND], unmoved=True)
    gains = []
    for _ in range(300):
        drawn = draw_votes(people, 30, chance, gain=0.2)
        assert len({vote.person_id for vote in drawn}) == 30
        gains.append(np.mean([vote.gain for vote in drawn]))
    assert float(np.mean(gains)) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_tampering_spoils_what_would_be_promoted(way: str) -> None:
    chance = np.random.default_rng(0)
    suites = [draw_suite(one, chance, 0.0) for one in SOUND.suites]
    case = Case(suites, draw_votes(people_of([SOUND], unmoved=True), 30, chance, gain=0.5))
    assert decide(case, GATE).verdict is Verdict.PROMOTE
    assert decide(WAYS[way](case, chance), GATE).verdict is Verdict.INCONCLUSIVE


def test_scores_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(NothingMeasured, match=r"none\.json cannot be read"):
        load_measured(tmp_path / "none.json")
    (tmp_path / "hollow.json").write_bytes(msgspec.json.encode(Measured([HOLLOW])))
    with pytest.raises(NothingMeasured, match="no pair that is not hollow"):
        load_measured(tmp_path / "hollow.json")
