"""Processes that are one training job: how they find each other, and that none outlives another's failure."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Sequence
from pathlib import Path

from learner.jobs import JobError, check_end, start_job
from learner.runners.spec import TRAINING

GRACE_S = 2.0  # in which the others may fail too: the first to be heard of need not be the first that failed


def find_port() -> int:
    """A TCP port that is free on this machine."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def describe_rank(rank: int, world: int, local_rank: int, master: tuple[str, int], threads: int) -> dict[str, str]:
    """What a rank's environment says, as torch's own launcher says it. `master` is where rank 0 listens: address and port."""
    address, port = master
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_RANK": str(local_rank),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(threads),
    }


async def run_rank(folder: Path, variables: dict[str, str]) -> None:
    """Runs one process of the job to its end. Raises `JobError` when it fails. Cancelling ends it."""
    log = folder / f"rank{variables['RANK']}.log"
    process = await start_job(TRAINING, folder, log, variables)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    check_end(TRAINING, process.returncode, log)


async def run_together(ranks: Sequence[Awaitable[None]]) -> None:
    """Runs all to their end. Once one fails all are cancelled; raises `JobError` with the reason of each that failed."""
    tasks = [asyncio.ensure_future(rank) for rank in ranks]
    try:
        _, going = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if going:
            await asyncio.wait(going, timeout=GRACE_S)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    reasons = [f"rank {rank}: {end}" for rank, end in enumerate(ends) if isinstance(end, Exception)]
    if reasons:
        raise JobError("; ".join(reasons))
