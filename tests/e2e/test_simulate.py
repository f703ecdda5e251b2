"""The loop closed on real parts, by the documented command: a taste is learnt, a coin is not. Long: half an hour."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PEOPLE = Path(__file__).parents[1] / "people"
GAIN = 0.25


def simulate(user: str, rounds: int) -> list[dict[str, Any]]:
    command = [
        sys.executable,
        "-m",
        "service.cli",
        "simulate",
        "--user",
        str(PEOPLE / f"{user}.py"),
        "--rounds",
        str(rounds),
    ]
    done = subprocess.run([*command, "--turns", "120", "--heldout", "80", "--json"], stdout=subprocess.PIPE, check=True)
    report = json.loads(done.stdout)
    print(json.dumps(report, indent=1))
    assert report["user"] == user and len(report["rounds"]) == rounds
    return list(report["rounds"])


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.timeout(3600)
def test_a_taste_is_learnt_without_a_loss_elsewhere() -> None:
    rounds = simulate("brief", rounds=2)
    assert rounds[-1]["heldout_after"] - rounds[0]["heldout_before"] >= GAIN
    assert any(row["verdict"] == "promote" for row in rounds)


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.timeout(3600)
def test_a_coin_is_never_promoted() -> None:
    assert all(row["verdict"] != "promote" for row in simulate("coin", rounds=3))
