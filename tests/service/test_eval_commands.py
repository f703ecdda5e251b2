"""`ratchet eval suites|import|freeze` for people: a line for each suite, without a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from learner.evaluate.suite import OWN
from tests.service.command_line import printed, run


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of questions, beside a home without a service."""
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.delenv("RATCHET_URL", raising=False)
    file = tmp_path / "rows.jsonl"
    asked = [{"question": f"{n} + 1?", "choices": [str(n + 1), str(n + 2)], "answer": 0} for n in range(6)]
    file.write_text("".join(json.dumps(row) + "\n" for row in asked))
    return str(file)


def test_a_suite_comes_in_is_listed_and_frozen_again(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("eval", "import", rows, "--name", "sums", "--margin", "0.07") == 0
    folder = tmp_path / OWN / "sums"
    assert capsys.readouterr().out == f"sums: 6 items of kind choice, frozen in {folder}\n"
    [card] = [card for card in printed(capsys, "eval", "suites") if card["name"] == "sums"]
    assert (card["version"], card["margin"], card["veto"], card["advisory"]) == (1, 0.07, False, True)
    assert run("eval", "suites") == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("sums ")]
    assert line.split() == ["sums", "choice", "1", "6", "0.07", "advisory", card["sha256"][:12], str(folder)]
    assert run("eval", "freeze") == 0
    assert capsys.readouterr().out.split() == ["sums", card["sha256"]]
    assert printed(capsys, "eval", "freeze", str(tmp_path / OWN)) == {"sums": card["sha256"]}


def test_a_suite_of_a_name_that_is_taken_changes_nothing(rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = printed(capsys, "eval", "import", rows, "--name", "sums")
    assert run("eval", "import", rows, "--name", "sums", "--limit", "2") == 1
    assert "there is a suite 'sums' in " in capsys.readouterr().err
    assert printed(capsys, "eval", "freeze") == {"sums": first["sha256"]}


@pytest.mark.parametrize("word", ["run", "compare"])
def test_what_needs_a_service_says_so(rows: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("eval", word, "base", *(["base"] if word == "compare" else [])) == 1
    assert capsys.readouterr().err.startswith("ratchet: no service found")
