"""`ratchet cycle run --dry-run`: what would be learnt is told, and no cycle begins."""

from __future__ import annotations

import pytest

from service.cli import main
from tests.conftest import Service

pytestmark = pytest.mark.engine


def test_a_dry_run_tells_and_begins_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RATCHET_URL", service.url)
    monkeypatch.setenv("RATCHET_KEY", service.key)
    for person in ("ann", "bob"):
        answer = service.chat("Say hello.", key=person)
        assert service.request("POST", "/v1/feedback", {"completion_id": answer["id"], "thumb": "down"}, person)[0] == 200
    main(["cycle", "run", "--dry-run"])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "2 answers to look at"
    assert any(line.startswith("A cycle would end without learning: 0 liked and ") for line in told)
    assert told[-1].startswith("Missing for a cycle to start by itself: ") and "2 of 5 people" in told[-1]
    assert service.request("GET", "/api/cycles", key=service.key) == (200, [])
