"""`deploy/audit` without a network says so, and changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_without_a_network_it_is_told_in_a_line_that_nothing_could_be_asked(tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "TMPDIR": str(tmp_path)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run([CHECKOUT / "deploy" / "audit"], env=kept | nowhere, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("deploy/audit: pip-audit cannot be fetched") and "check the connection" in line
    assert list(tmp_path.iterdir()) == []
