"""A job that takes too much, or ends badly, is over, and what is said of it names what it took or how it ended."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import psutil
import pytest

from learner.jobs import JobError, run_job
from learner.memory import machine_limit_mb
from tests.learner.unruly import CHILD, LINES, MEMORY_MB, WAY

MODULE = "tests.learner.unruly"


def run(folder: Path, way: str, time_limit_s: float = 60, memory_limit_mb: float | None = None) -> list[bytes]:
    (folder / WAY).write_text(way)
    heard: list[bytes] = []
    asyncio.run(run_job(MODULE, folder, folder / LINES, heard.append, time_limit_s, memory_limit_mb))
    return heard


def has_ended(pid: int) -> bool:
    """Whether a process does nothing any more, though nobody may have asked how it ended. The kernel may take a moment."""
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    return time.monotonic() < deadline


def complaint(folder: Path, way: str, time_limit_s: float = 60, memory_limit_mb: float | None = None) -> str:
    with pytest.raises(JobError) as raised:
        run(folder, way, time_limit_s, memory_limit_mb)
    return str(raised.value)


@pytest.mark.parametrize("way", ["eats", "has a child that eats"])
def test_a_job_over_its_memory_is_ended_with_all_it_started_and_the_figures_are_told(tmp_path: Path, way: str) -> None:
    said = complaint(tmp_path, way, memory_limit_mb=MEMORY_MB / 2)
    found = re.fullmatch(rf"{MODULE} held (\d+) MB of memory, allowed are 128 MB, and was ended", said)
    assert found is not None and int(found[1]) > MEMORY_MB / 2
    if (tmp_path / CHILD).exists():
        assert has_ended(int((tmp_path / CHILD).read_text()))


def test_a_job_within_its_limits_goes_on_to_its_end_and_is_heard(tmp_path: Path) -> None:
    assert run(tmp_path, "behaves", memory_limit_mb=MEMORY_MB / 2) == [b"one", b"two"]


def test_a_job_over_its_time_is_ended(tmp_path: Path) -> None:
    assert complaint(tmp_path, "dawdles", time_limit_s=0.5) == f"{MODULE} took longer than its limit of 0.5 s and was ended"


def test_a_job_killed_from_outside_is_told_from_one_that_failed(tmp_path: Path) -> None:
    killed = "was killed from outside (SIGKILL), by somebody or by a machine that is out of memory: last words"
    assert complaint(tmp_path, "is killed") == f"{MODULE} {killed}"
    assert complaint(tmp_path, "fails") == f"{MODULE} ended with status 1: it broke"


def test_what_is_allowed_where_nothing_is_set_leaves_room_for_the_service() -> None:
    total_mb = psutil.virtual_memory().total / 2**20
    assert 0 < machine_limit_mb() <= 0.8 * total_mb
