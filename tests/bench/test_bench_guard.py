"""`ratchet bench guard` prints every figure that is promised."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from service.cli import main


def test_it_prints_every_promised_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "guard", "--quick", "--json", "--dir", str(tmp_path)])
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found.keys() >= {"rules", "frame_us", "prompt_us", "held_frames", "machine", "commit", "seconds"}
    assert found["frame_us"].keys() == {"on", "off"}
    assert all(one.keys() == {"p50", "p99"} for one in (*found["frame_us"].values(), found["prompt_us"]))
    assert found["rules"] > 0 and 0 <= found["held_frames"] < 100, "more is held back than a rule's reach"


def test_people_get_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "guard", "--quick", "--dir", str(tmp_path)])
    assert "a frame, with the policy" in capsys.readouterr().out
