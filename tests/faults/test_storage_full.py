"""A small disk that is full: writes are refused, reads go on, and once there is room so do writes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.faults.on_a_full_disk import REFUSALS, Outcome

SIZE = "4m"
# In a mount namespace of its own, which is gone with the process: nothing is ever left mounted.
APART = ("unshare", "--mount", "--map-root-user")


def on_small_disk(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell command while the folder is a disk of `SIZE`."""
    mount = f"mount -t tmpfs -o size={SIZE} none {shlex.quote(str(folder))}"
    try:
        return subprocess.run([*APART, "sh", "-c", f"{mount} && {command}"], capture_output=True, text=True, timeout=120)
    except FileNotFoundError as error:
        pytest.skip(f"no small disk to be had: {error}")


def test_a_full_disk_refuses_writes_and_nothing_else(tmp_path: Path) -> None:
    if (tried := on_small_disk(tmp_path, "true")).returncode:
        pytest.skip(f"no small disk to be had: {tried.stderr.strip()}")
    program = shlex.join([sys.executable, "-m", "tests.faults.on_a_full_disk", str(tmp_path)])
    done = on_small_disk(tmp_path, program)
    assert done.returncode == 0, done.stderr
    outcome = msgspec.json.decode(done.stdout, type=Outcome)
    assert outcome.kept > REFUSALS and outcome.refused > 0 and outcome.warned
    assert outcome.people_read == 1
    assert outcome.later == REFUSALS
    assert (outcome.lost, outcome.halves, outcome.integrity) == ([], [], "ok")
