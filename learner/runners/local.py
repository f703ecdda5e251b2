"""Training as several processes of this machine: one for each GPU, or for a share of the CPU's cores.

Run as `python -m learner.runners.local FOLDER`, beside `place.json`. Each rank's words are in `rank<N>.log`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from learner.jobs import JobError, die_with_parent
from learner.runners.ranks import describe_rank, find_port, run_rank, run_together
from learner.runners.spec import read_place


async def run(folder: Path) -> None:
    """Runs the job of this folder to its end. Raises `JobError`."""
    world = read_place(folder).workers
    threads = max(len(os.sched_getaffinity(0)) // world, 1)
    master = ("127.0.0.1", find_port())
    await run_together([run_rank(folder, describe_rank(rank, world, rank, master, threads)) for rank in range(world)])


if __name__ == "__main__":
    die_with_parent()
    try:
        asyncio.run(run(Path(sys.argv[1])))
    except JobError as error:
        sys.exit(str(error))
