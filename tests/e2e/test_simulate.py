"""The loop closed on real parts, by the documented command: tastes are learnt, a coin is not. Long: hours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from learner.simulate import Report, simulate
from learner.simulated.home import throwaway_service

PEOPLE = Path(__file__).parents[1] / "people"
GAIN = 0.25
PLEASED = 0.85
KEPT = 0.9  # of what the first taste gained, once a second one has been learnt
HOLLOW = 0.2  # by how much the style of answers may differ from what the taste asks

pytestmark = [pytest.mark.long, pytest.mark.engine, pytest.mark.timeout(3 * 3600)]


def command(user: str, rounds: int, turns: int) -> dict[str, Any]:
    asked = ["--user", str(PEOPLE / f"{user}.py"), "--rounds", str(rounds), "--turns", str(turns), "--heldout", "80", "--json"]
    done = subprocess.run([sys.executable, "-m", "service.cli", "simulate", *asked], stdout=subprocess.PIPE, check=True)
    report = json.loads(done.stdout)
    print(json.dumps(report, indent=1))
    assert report["user"] == user and len(report["rounds"]) == rounds
    return dict(report)


def check_bounds(rounds: list[dict[str, Any]]) -> None:
    """What went live is not below its bound on any suite that decides."""
    for row in rounds:
        if row["verdict"] == "promote":
            decides = {name: suite for name, suite in row["suites"].items() if not suite["advisory"]}
            assert decides and all(suite["lower_bound"] >= -suite["margin"] for suite in decides.values()), decides


def test_a_taste_is_learnt_without_a_loss_elsewhere() -> None:
    rounds = command("brief", rounds=2, turns=120)["rounds"]
    assert rounds[-1]["heldout_after"] - rounds[0]["heldout_before"] >= GAIN
    assert any(row["verdict"] == "promote" for row in rounds)
    check_bounds(rounds)


def test_a_coin_is_never_promoted() -> None:
    assert all(row["verdict"] != "promote" for row in command("coin", rounds=3, turns=120)["rounds"])


def test_two_tastes_are_learnt_in_turn_and_the_first_is_kept() -> None:
    """And the first is learnt nearly whole, without hollow answers."""
    with throwaway_service(print) as (url, key), pytest.MonkeyPatch.context() as environment:
        environment.setenv("RATCHET_KEY", key)

        def run(user: str, rounds: int, turns: int) -> Report:
            return simulate(PEOPLE / f"{user}.py", rounds, turns, heldout=80, people=60, url=url, say=print)

        first = run("brief", rounds=3, turns=150)
        assert first.heldout >= PLEASED and first.liked is not None
        style = first.rounds[-1].style
        assert style.words == pytest.approx(first.liked.words, rel=HOLLOW)
        assert style.distinct_2 == pytest.approx(first.liked.distinct_2, rel=HOLLOW)
        second = run("personal", rounds=2, turns=120)
        assert second.heldout > second.rounds[0].heldout_before
        before = first.rounds[0].heldout_before
        assert run("brief", rounds=0, turns=0).heldout - before >= KEPT * (first.heldout - before)
