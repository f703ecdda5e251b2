"""Child processes for heavy work: niced, ended with their parent, watched by the lines they append to a file.

None can run away: one that takes too long, or that holds more memory than it may, is ended with all it has started.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from learner.machine import fast_threads
from learner.memory import end_family, machine_limit_mb, outgrow

LOG = "job.log"
NOTHING: Mapping[str, str] = MappingProxyType({})
POLL_S = 0.25
PR_SET_PDEATHSIG = 1


class JobError(Exception):
    """A job ended badly, was killed, or was ended over its time or memory; the message says which, and what it said last."""


async def run_job(
    module: str,
    folder: Path,
    lines: Path,
    on_line: Callable[[bytes], None],
    time_limit_s: float,
    memory_limit_mb: float | None = None,
) -> None:
    """Runs `python -m module folder` to its end, handing each new line of the file `lines` to `on_line`.

    Raises `JobError` when it fails, takes longer than the time limit, or holds more memory than its limit, together with
    the processes it has started (resident, in MiB); unset, that is `machine_limit_mb`. Cancelling ends them too. Lines of an
    earlier try stay: a job that goes on from there keeps them, any other begins the file anew.
    """
    known = lines.stat().st_size if lines.exists() else 0
    process = await start_job(module, folder, folder / LOG)
    tail = asyncio.create_task(_follow(lines, known, on_line))
    try:
        refused = await _watch(process, time_limit_s, memory_limit_mb or machine_limit_mb())
        await asyncio.sleep(2 * POLL_S)  # let the tail see the last lines
    finally:
        tail.cancel()
        await _end(process)
    if refused:
        raise JobError(f"{module} {refused} and was ended")
    check_end(module, process.returncode, folder / LOG)


async def start_job(module: str, folder: Path, log: Path, variables: Mapping[str, str] = NOTHING) -> Process:
    """Starts `python -m module folder`, with these variables beside its environment; what it says goes to the log."""
    with log.open("wb") as said:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**_environment(), **variables},
        )


def check_end(module: str, status: int | None, log: Path) -> None:
    """Raises `JobError` for any status but 0, with the last line that the log has."""
    if status:
        said = log.read_text(errors="replace").strip().splitlines()
        raise JobError(f"{module} {_how_it_ended(status)}: {said[-1] if said else 'it said nothing'}")


async def _watch(process: Process, time_limit_s: float, memory_limit_mb: float) -> str:
    """Waits until the process has ended, and gives nothing, or until it may not go on, and gives the reason."""
    ended = asyncio.create_task(process.wait())
    outgrown = asyncio.create_task(outgrow(process.pid, memory_limit_mb))
    try:
        await asyncio.wait({ended, outgrown}, timeout=time_limit_s, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ""
        if outgrown.done():
            return f"held {outgrown.result():.0f} MB of memory, allowed are {memory_limit_mb:.0f} MB,"
        return f"took longer than its limit of {time_limit_s:g} s"
    finally:
        ended.cancel()
        outgrown.cancel()


async def _end(process: Process) -> None:
    """Kills the process, if it runs, with what it has started."""
    if process.returncode is None:
        end_family(process.pid)
        await process.wait()


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed from outside (SIGKILL), by somebody or by a machine that is out of memory"
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _environment() -> dict[str, str]:
    """Nothing to or from the network; and threads that wait for each other soon sleep instead of spinning: beside a serving
    engine, spinning made training four times slower."""
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",  # the last line of a job's log says why it died
    }
    return {**os.environ, **quiet, **fast_threads(), "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "1"}  # ms


async def _follow(file: Path, offset: int, on_line: Callable[[bytes], None]) -> None:
    """Hands on each line that is added after `offset`, or after the file was begun anew."""
    rest = b""
    while True:
        if file.exists():
            with file.open("rb") as stream:
                if stream.seek(0, os.SEEK_END) < offset:
                    offset, rest = 0, b""
                stream.seek(offset)
                data = stream.read()
            offset += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                on_line(line)
        await asyncio.sleep(POLL_S)


def leave_result(file: Path, result: msgspec.Struct) -> None:
    """Writes a job's result as its last act: the file is there whole, or not at all."""
    unfinished = file.with_suffix(".tmp")
    unfinished.write_bytes(msgspec.json.encode(result))
    unfinished.rename(file)


def settle_in() -> None:
    """What a job does first: give way to people's requests, and die with the parent, however that ends."""
    os.nice(10)
    die_with_parent()


def die_with_parent() -> None:
    """From here on this process ends when its parent does, however that ends."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os._exit(1)
