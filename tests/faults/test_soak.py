"""Most of a minute of mixed chat, votes, swaps and a killed engine, with a service and an engine of its own.

The long form is `ratchet bench soak`: an hour, on the built-in model.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from service.bench.soak.people import Kind
from service.bench.soak.run import SHORT
from service.cli import main

pytestmark = pytest.mark.engine(own=True)


def test_nothing_acknowledged_is_lost_nothing_hangs_and_nothing_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "soak", "--quick", "--json", "--dir", str(tmp_path)])  # ends with status 1 where a promise is not kept
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["problems"] == [] and found["problem_count"] == 0
    assert found["kills"] == 1 and found["swaps"] > 5
    assert {Kind.PLAIN, Kind.STREAMED, Kind.SLOW, "left"} <= found["counts"].keys()
    assert found["acknowledged"] > SHORT.talkers and found["votes"] > 0
    assert list(tmp_path.iterdir()) == []  # it cleans up
