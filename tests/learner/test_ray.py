"""Of training on a Ray cluster, with a real one of this machine: two workers make what one process makes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from learner.config import JobSettings
from learner.jobs import JobError
from learner.runners.spec import run_training
from learner.train.spec import RESULT
from tests.learner.jobs import assert_same, make_job, steps_in

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "ratchet[ray]"')


@pytest.fixture(scope="module")
def cluster() -> Iterator[JobSettings]:
    """Settings for two workers of one CPU on a cluster that has just those."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=2, num_gpus=0, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
        try:
            yield JobSettings(runner="ray", workers=2, ray_address=ray.get_runtime_context().gcs_address, ray_wait_s=60)
        finally:
            ray.shutdown()


def ranks_of(folder: Path | str) -> list[psutil.Process]:
    """The processes of training jobs in folders of this name."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "learner.train.job" in line and line[-1].startswith(str(folder)):
            found.append(process)
    return found


def test_two_workers_make_the_adapter_that_one_process_makes(
    cluster: JobSettings, alone: Path, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    """Files are sent to them; in `tests/faults/test_cluster.py` they have the same folder."""
    folder = make_job(tmp_path / "job", model_dir, zero_dir)
    lines: list[bytes] = []
    asyncio.run(run_training(cluster, folder, lines.append, 300))
    assert len(lines) == len(steps_in(folder)) > 0
    assert_same(folder, alone)
    assert (folder / "rank0.log").exists()
    assert not (folder / "rank1.log").exists()  # each worker had its own


def test_a_worker_whose_process_is_killed_is_told_of_and_leaves_no_result(
    cluster: JobSettings, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    folder = make_job(tmp_path / "job", model_dir, zero_dir, passes=10_000)

    def kill_one(line: bytes) -> None:
        for process in ranks_of(folder)[1:]:
            process.kill()

    with pytest.raises(JobError, match="SIGKILL"):
        asyncio.run(run_training(msgspec.structs.replace(cluster, ray_shared=True), folder, kill_one, 300))
    assert not (folder / RESULT).exists()


def test_a_job_that_is_cancelled_leaves_nothing_running_and_room_for_the_next(
    cluster: JobSettings, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    folder = make_job(tmp_path / "job", model_dir, zero_dir, passes=10_000)

    async def run() -> None:
        began = asyncio.Event()
        running = asyncio.create_task(
            run_training(msgspec.structs.replace(cluster, ray_shared=True), folder, lambda line: began.set(), 300)
        )
        await asyncio.wait({running, asyncio.create_task(began.wait())}, return_when=asyncio.FIRST_COMPLETED)
        assert len(ranks_of(folder)) == 2
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(run())
    until_s = time.monotonic() + 60
    while ranks_of(folder) or ray.available_resources().get("CPU", 0) < 2:
        assert time.monotonic() < until_s, f"{ranks_of(folder)} still run, free are {ray.available_resources()}"
        time.sleep(0.5)


def test_a_model_that_the_workers_do_not_have_is_named(cluster: JobSettings, zero_dir: Path, tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", tmp_path / "nowhere", zero_dir)
    with pytest.raises(JobError, match=r"the base model is not on worker .*nowhere"):
        asyncio.run(run_training(cluster, folder, lambda line: None, 300))


def test_a_cluster_that_has_no_room_is_not_waited_for_for_ever(
    cluster: JobSettings, model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    folder = make_job(tmp_path / "job", model_dir, zero_dir)
    with pytest.raises(JobError, match=r"no room for 3 workers of .* in 1 s"):
        asyncio.run(run_training(msgspec.structs.replace(cluster, workers=3, ray_wait_s=1), folder, lambda line: None, 300))
