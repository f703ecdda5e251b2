"""The machine: what it computes with, how much there is of everything, and whether its clock can be right."""

from __future__ import annotations

import os
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path

import psutil

from learner.machine import BFLOAT16_FLAGS
from learner.memory import MB, SHARE, machine_limit_mb
from learner.model import BUILTIN, NEEDED_BYTES
from service.doctor.subject import GB, Finding, Subject, existing

SPARE_BYTES = 1.5 * GB  # beside the engine's cache: the service, and the engine without its cache, hardly start in less
ROOM_BYTES = 4 * GB  # beside it: training has room too
LEAST_DISK_BYTES, DISK_BYTES = 0.5 * GB, 5 * GB
X86 = ("x86_64", "amd64")


def check_cpu(subject: Subject) -> Finding:
    """The instructions that vLLM needs on a CPU, and those that make it fast."""
    if subject.config.engine.urls or subject.config.engine.device == "cuda":
        return Finding("ok", f"{platform.machine()}; the engine does not compute on it")
    flags = set(subject.cpu_info.read_text().split()) if subject.cpu_info.exists() else set()
    if not flags:
        return Finding(
            "warning", f"{subject.cpu_info} does not say what the CPU can do", "expect Linux: elsewhere nothing is tested"
        )
    if platform.machine().lower() in X86 and "avx2" not in flags:
        return Finding("problem", "the CPU has no AVX2", "use another machine, or engine.urls of an engine on one")
    if fast := sorted(flags & BFLOAT16_FLAGS):
        return Finding("ok", f"bfloat16 in hardware ({', '.join(fast)})")
    return Finding("ok", "no bfloat16 in hardware: it computes in float32, which takes three to four times as long")


def check_cores(subject: Subject) -> Finding:
    """How many cores there are for all of it, and whether the engine's own are among them."""
    cores = os.sched_getaffinity(0)
    threads = subject.config.engine.threads
    if threads and (strange := sorted(_listed(threads) - cores)):
        todo = f"set engine.threads to cores of {_told(cores)}, or leave it out"
        return Finding("problem", f'engine.threads is "{threads}", and core {strange[0]} is not this process\'s to use', todo)
    if len(cores) < 2:
        return Finding("warning", "1 core: answers wait while a version is trained", "give it two cores or more")
    return Finding("ok", f"{len(cores)} cores")


def check_memory(subject: Subject) -> Finding:
    """Whether the engine's cache fits, and training beside it."""
    total = machine_limit_mb() / SHARE * MB
    free = psutil.virtual_memory().available
    cache = 0 if subject.config.engine.urls else subject.config.engine.kv_cache_bytes
    found = f"{total / GB:.1f} GB, {min(free, total) / GB:.1f} GB of it free; the engine's cache takes {cache / GB:.1f} GB"
    if total < cache + SPARE_BYTES:
        return Finding("problem", found, "lower engine.kv_cache_bytes, or give it more memory")
    if total < cache + ROOM_BYTES:
        return Finding("warning", found, "training may be ended for lack of memory: lower engine.kv_cache_bytes")
    return Finding("ok", found)


def check_home_disk(subject: Subject) -> Finding:
    """Room for records, versions and what is made of them."""
    free = shutil.disk_usage(existing(subject.home)).free
    found = f"{free / GB:.1f} GB free at {subject.home}"
    if free < LEAST_DISK_BYTES:
        return Finding("problem", found, "make room: turns that cannot be kept are refused")
    if free < DISK_BYTES:
        return Finding("warning", found, f"make room: {DISK_BYTES / GB:.0f} GB last for a while")
    return Finding("ok", found)


def check_model_disk(subject: Subject) -> Finding:
    """Room for the built-in model, where it is not there yet."""
    folder = subject.model_dir
    free = shutil.disk_usage(existing(folder)).free
    found = f"{free / GB:.1f} GB free at {folder.parent}"
    if subject.config.model == BUILTIN and not folder.is_dir() and free < NEEDED_BYTES:
        return Finding("problem", found, f"make room: the model needs {NEEDED_BYTES / GB:.1f} GB while it is made")
    return Finding("ok", found)


def check_time(subject: Subject) -> Finding:
    """The clock cannot be before this program was written."""
    now_s, written_s = subject.now(), Path(__file__).stat().st_mtime
    if now_s < written_s:
        return Finding("problem", f"the clock says {_date(now_s)}, and this program is of {_date(written_s)}", "set the clock")
    return Finding("ok", f"{_date(now_s)} UTC")


def _listed(threads: str) -> set[int]:
    """The cores of a list like "0-1,4"."""
    cores: set[int] = set()
    for part in threads.split(","):
        first, _, last = part.partition("-")
        cores |= set(range(int(first), int(last or first) + 1))
    return cores


def _told(cores: set[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


def _date(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
