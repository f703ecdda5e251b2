"""Training as a Ray job: workers of one CPU or GPU each, wherever the cluster has room for all of them.

Run as `python -m learner.runners.ray FOLDER`, beside `place.json`: a process of its own, as a driver does not survive its
cluster. When it ends, however that is, Ray ends its workers, and each takes its process of the job with it. Ratchet, in
this very version, and the base model must be on every machine of the cluster.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError, RayTaskError
from ray.util import get_node_ip_address
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from learner.config import JobSettings
from learner.jobs import JobError, die_with_parent
from learner.runners.ranks import describe_rank, run_together
from learner.runners.spec import read_place
from learner.runners.worker import PARENT, Worker, read_files, write_files
from learner.train.spec import JOB, METRICS, Job

POLL_S = 1.0


class RayWorker(Worker):
    def address(self) -> str:
        return str(get_node_ip_address())


async def run(folder: Path) -> None:
    """Runs the job of this folder to its end. Raises `JobError`."""
    settings = read_place(folder)
    try:
        ray.init(settings.ray_address, log_to_driver=False)
    except (ConnectionError, RayError) as error:
        raise JobError(
            f"there is no Ray cluster at learner.jobs.ray_address = {settings.ray_address!r}: {_in_one_line(error)}"
        ) from None
    try:
        workers = _start_workers(settings)
        job = msgspec.json.decode((folder / JOB).read_bytes(), type=Job)
        await _ask(worker.check_model.remote(job.model_dir) for worker in workers)
        if settings.ray_shared:
            await _ask(worker.enter.remote(str(folder.resolve())) for worker in workers)
            await _run_ranks(settings, workers)
        else:
            await _send_and_run(folder, job, settings, workers)
    finally:
        ray.shutdown()


def _start_workers(settings: JobSettings) -> list[Any]:
    """All workers at once, or none: two jobs that each hold half of what they need would wait for ever."""
    needs = {"CPU": settings.ray_cpus, "GPU": settings.ray_gpus}
    bundles = [{name: count for name, count in needs.items() if count}] * settings.workers
    group = placement_group(bundles, strategy="PACK")
    if not group.wait(settings.ray_wait_s):
        has = {name: ray.cluster_resources().get(name, 0) for name in needs}
        raise JobError(
            f"the Ray cluster had no room for {settings.workers} workers of {needs} in {settings.ray_wait_s:g} s; it has {has}"
        )
    remote = ray.remote(RayWorker)
    return [
        remote.options(
            num_cpus=settings.ray_cpus,
            num_gpus=settings.ray_gpus,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, bundle),
        ).remote()
        for bundle in range(settings.workers)
    ]


async def _run_ranks(settings: JobSettings, workers: Sequence[Any]) -> None:
    address, port = await _ask([workers[0].address.remote(), workers[0].find_port.remote()])
    hidden = {} if settings.ray_gpus else {"CUDA_VISIBLE_DEVICES": ""}
    described = [
        # Ray shows each worker its own GPU alone, which is then the first
        describe_rank(rank, len(workers), 0, (address, port), settings.ray_cpus) | hidden
        for rank in range(len(workers))
    ]
    await run_together([_answer(worker.run.remote(variables)) for worker, variables in zip(workers, described, strict=True)])


async def _send_and_run(folder: Path, job: Job, settings: JobSettings, workers: Sequence[Any]) -> None:
    parent = {f"{PARENT}/{name}": content for name, content in read_files(Path(job.parent_dir)).items()}
    files = ray.put({**read_files(folder), **parent})
    await _ask(worker.take.remote(files) for worker in workers)
    following = asyncio.create_task(_follow(workers[0], folder / METRICS))
    try:
        await _run_ranks(settings, workers)
        await asyncio.sleep(2 * POLL_S)  # the last lines
        write_files(folder, await _answer(workers[0].give.remote()))
    finally:
        following.cancel()
        await asyncio.gather(*(_answer(worker.clear.remote()) for worker in workers), return_exceptions=True)


async def _follow(worker: Any, file: Path) -> None:
    """Has here what the job reports there."""
    while True:
        await asyncio.sleep(POLL_S)
        with suppress(JobError):  # it has not begun to report, or is no more, which who waits for its end is told
            unfinished = file.with_suffix(".tmp")
            unfinished.write_bytes(await _answer(worker.metrics.remote()))
            unfinished.rename(file)


async def _ask(answers: Any) -> list[Any]:
    return await asyncio.gather(*map(_answer, answers))


async def _answer(promised: Awaitable[Any]) -> Any:
    """What a worker answers. Raises `JobError` with what it raised, or with how it died."""
    try:
        return await promised
    except RayTaskError as error:
        raise JobError(str(error.cause)) from None
    except RayError as error:
        raise JobError(_in_one_line(error)) from None


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    die_with_parent()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        asyncio.run(run(Path(sys.argv[1])))
    except JobError as error:
        sys.exit(str(error))
