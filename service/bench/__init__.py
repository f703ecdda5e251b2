"""Benchmarks: figures that anybody can measure again, each with the machine and the commit that it was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def machine() -> str:
    """The processor, how many of it, and the system."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} x {names[0] if names else platform.machine()}, {platform.system()} {platform.release()}"


def commit() -> str:
    """What is checked out, with a + where files differ from it; empty where this is no checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
