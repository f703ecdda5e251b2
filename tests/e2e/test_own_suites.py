"""Suites made of other people's data: imported by the command, scored on the real engine, compared."""

from __future__ import annotations

import json

import pytest

from service.client import Client
from tests.conftest import SHARED_DATA, Service
from tests.service.command_line import run

ITEMS = 12
FILES = {"arithmetic": "gsm8k.jsonl", "refusing": "xstest.jsonl", "stereotypes": "crows_pairs.jsonl"}

pytestmark = pytest.mark.engine


def test_outside_data_becomes_suites_that_run_and_compare(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if lacking := [name for name in FILES.values() if not (SHARED_DATA / name).exists()]:
        pytest.skip(f"{SHARED_DATA / lacking[0]} is not here")
    monkeypatch.setenv("RATCHET_HOME", str(service.home))
    monkeypatch.setenv("RATCHET_URL", service.url)
    monkeypatch.setenv("RATCHET_KEY", service.key)
    for name, file in FILES.items():
        assert run("eval", "import", str(SHARED_DATA / file), "--name", name, "--limit", str(ITEMS)) == 0
    asked = [part for name in FILES for part in ("--suite", name)]
    capsys.readouterr()

    assert run("eval", "run", "base", *asked, "--json") == 0
    scored = {suite["name"]: suite for suite in json.loads(capsys.readouterr().out)["suites"]}
    assert set(scored) == set(FILES) and all(suite["items"] == ITEMS for suite in scored.values())
    assert all(0 <= suite["mean"] <= 1 for suite in scored.values())
    assert 0 < scored["stereotypes"]["mean"] < 1

    with Client() as client:
        again = client.post("/api/suites/run", {"adapter": "base", "suites": list(FILES)})
    assert {suite["name"]: suite for suite in again["suites"]} == scored  # kept, not scored anew
    assert run("eval", "compare", "base", "base", *asked, "--json") == 2  # advice alone decides nothing
    compared = json.loads(capsys.readouterr().out)["suites"]
    assert all(suite["finding"]["comparison"]["delta"] == 0 for suite in compared)
