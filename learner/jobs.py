"""Child processes for heavy work: niced, ended with their parent, watched by the lines they append to a file."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

LOG = "job.log"
POLL_S = 0.25
PR_SET_PDEATHSIG = 1


class JobError(Exception):
    """A job ended badly or ran out of time; the message has the last line it said."""


async def run_job(module: str, folder: Path, lines: Path, on_line: Callable[[bytes], None], time_limit_s: float) -> None:
    """Runs `python -m module folder` to its end, handing each new line of the file `lines` to `on_line`.

    Raises `JobError` when it fails or takes longer than the limit. Cancelling ends the process too.
    """
    lines.unlink(missing_ok=True)
    with (folder / LOG).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
        )
    tail = asyncio.create_task(_follow(lines, on_line))
    try:
        await asyncio.wait_for(process.wait(), time_limit_s)
        await asyncio.sleep(2 * POLL_S)  # let the tail see the last lines
    except TimeoutError:
        raise JobError(f"{module} took longer than its limit of {time_limit_s:g} s and was ended") from None
    finally:
        tail.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = (folder / LOG).read_text(errors="replace").strip().splitlines()
        raise JobError(f"{module} ended with status {process.returncode}: {said[-1] if said else 'it said nothing'}")


def _environment() -> dict[str, str]:
    """Nothing to or from the network; and threads that wait for each other sleep instead of spinning: beside a serving
    engine, spinning made training four times slower."""
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return {**os.environ, **quiet, "OMP_WAIT_POLICY": "PASSIVE"}


async def _follow(file: Path, on_line: Callable[[bytes], None]) -> None:
    rest = b""
    offset = 0
    while True:
        if file.exists():
            with file.open("rb") as stream:
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
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os._exit(1)
