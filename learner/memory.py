"""What a job and all it has started hold in memory, what they may hold, and how they are ended together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import psutil

POLL_S = 0.5
SHARE = 0.8  # of the machine's that a job may hold where nothing else is set: the rest is the service's and the engine's
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container
MB = 2**20


def machine_limit_mb() -> float:
    """What a job may hold by default: four fifths of the memory that the machine, or the container, has (MiB)."""
    total: int = psutil.virtual_memory().total
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.is_file() else ""
    return SHARE * min(total, int(limit) if limit.isdigit() else total) / MB


async def outgrow(pid: int, limit_mb: float) -> float:
    """Returns once the process and its descendants hold more than this together: how much that is (resident, MiB)."""
    while (held_mb := await asyncio.to_thread(_held_mb, pid)) <= limit_mb:
        await asyncio.sleep(POLL_S)
    return held_mb


def end_family(pid: int) -> None:
    """Kills a process and all it has started."""
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _held_mb(pid: int) -> float:
    held = 0
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            held += process.memory_info().rss
    return held / MB


def _family(pid: int) -> list[psutil.Process]:
    """The process and all it has started that still run; none once it has ended."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
