"""`ratchet gate`: rates of wrong decisions, for people and for programs, without a service."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from learner.selftest.measured import Measured, MeasuredSuite, MeasuredVote, Pair
from tests.service.command_line import printed, run

KINDS = ["null", "degraded", "hollow", "tampered", "better"]


def pair(hollow: bool) -> Pair:
    """A candidate that thirty people's votes like better; a hollow one pays for that with what it can."""
    chance = random.Random(7)
    live = [chance.uniform(0.2, 0.8) for _ in range(250)]
    candidate = [score + chance.gauss(-0.1 if hollow else 0.0, 0.03) for score in live]
    suite = MeasuredSuite("facts", 0.02, False, [f"facts-{n // 2}" for n in range(250)], live, candidate, live)
    votes = [MeasuredVote(person, label, 0.1 + chance.gauss(0, 0.08)) for person in range(30) for label in (1, -1, 1)]
    return Pair([suite], votes, hollow)


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of scores, beside a home without settings and without a service."""
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.delenv("RATCHET_URL", raising=False)
    file = tmp_path / "measured.json"
    file.write_bytes(msgspec.json.encode(Measured([pair(hollow=False), pair(hollow=True)])))
    return str(file)


def test_the_selftest_tells_how_often_the_gate_is_wrong(measured: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("gate", "selftest", "--trials", "5", "--measured", measured)
    found = printed(capsys, *arguments)
    assert found["trials"] == 5 and list(found["false_promote"]) == KINDS[:4] and list(found["false_reject"]) == KINDS[4:]
    assert found["false_promote"]["tampered"] == 0 and found["greedy"]["false_promote"].keys() == found["false_promote"].keys()
    assert run(*arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("of 5 trials") and [line.split()[0] for line in lines[1:6]] == KINDS
    assert f"{found['false_promote']['null']:.2%}" in lines[1] and lines[1].endswith("wrongly promoted")
    assert lines[5].endswith("wrongly refused") and lines[6].startswith(f"Of rows of {found['cycles']} cycles")
    again = printed(capsys, *arguments)
    assert again | {"seconds": found["seconds"]} == found, "the same seed gives the same figures"


def test_the_trial_of_versions_tells_how_often_it_ends_wrongly(measured: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "gate", "canary", "--trials", "20", "--seed", "3")
    assert (found["trials"], found["seed"]) == (20, 3)
    assert list(found["endings"]) == ["equal", "worse_by_tolerated_loss", "better", "much_worse"]
    for name, told in (("equal", "rolled_back"), ("worse_by_tolerated_loss", "promoted")):
        wrong = found["false_rollback" if name == "equal" else "false_promote"]
        assert wrong["share"] == found["endings"][name][told] and wrong["low"] <= wrong["share"] <= wrong["high"]
    assert found["endings"]["much_worse"]["rolled_back"] > 0.5
    assert sum(found["endings"]["better"][end] for end in ("promoted", "rolled_back", "undecided")) == pytest.approx(1)


def test_a_trial_of_versions_is_told_line_by_line(measured: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("gate", "canary", "--trials", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8 and lines[0].startswith("an equal version rolled back ")
    assert [line.split()[0] for line in lines[4:]] == ["equal", "worse_by_tolerated_loss", "better", "much_worse"]
    assert all("promoted" in line and line.endswith(" votes") for line in lines[4:])


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("selftest", "--trials", "0"), 1, "--trials is 0; expected 1 or more"),
        (("canary", "--trials", "-1"), 1, "--trials is -1; expected 1 or more"),
        (("selftest", "--measured", "/nowhere.json"), 1, "/nowhere.json cannot be read"),
        (("canary", "--trials", "many"), 2, "invalid int value: 'many'"),
    ],
)
def test_what_cannot_be_done_is_told(
    measured: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, told: str
) -> None:
    assert run("gate", *arguments) == status
    out, err = capsys.readouterr()
    assert out == "" and told in err
