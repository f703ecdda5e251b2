"""`ratchet bench storage` prints every figure that is promised."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from service.cli import main

PROMISED = {
    "acked_per_s",
    "bare_sqlite_per_s",
    "ratio",
    "commit_wait_ms",
    "page_ms",
    "page_ratio",
    "machine",
    "commit",
    "seconds",
}


def test_it_prints_every_promised_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "storage", "--quick", "--json", "--dir", str(tmp_path)])
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found.keys() >= PROMISED
    assert found["commit_wait_ms"].keys() == {"p50", "p99"}
    assert found["page_ms"].keys() == {"10k", "1m"}
    assert all(found[name] > 0 for name in ("acked_per_s", "bare_sqlite_per_s", "ratio", "page_ratio", "seconds"))
    assert list(tmp_path.iterdir()) == []  # it cleans up


def test_people_get_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "storage", "--quick", "--dir", str(tmp_path)])
    assert "a commit for each" in capsys.readouterr().out
