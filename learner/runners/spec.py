"""Where training runs, and the one way to start it. To add a place: a module with a main, and a line in `RUNNERS`.

A runner is a child process of the service, run as `python -m MODULE FOLDER` in the job's folder. It ends when the service
or the clock ends it, and takes with it whatever it started; the service itself never talks to a cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from learner.config import JobSettings
from learner.jobs import JobError, run_job
from learner.train.methods import PARALLEL
from learner.train.spec import JOB, METRICS, Job

TRAINING = "learner.train.job"
RUNNERS = {"local": "learner.runners.local", "ray": "learner.runners.ray"}
PLACE = "place.json"  # in the job's folder: the `JobSettings`


async def run_training(
    settings: JobSettings,
    folder: Path,
    on_line: Callable[[bytes], None],
    time_limit_s: float,
    memory_limit_mb: float | None = None,
) -> None:
    """Runs the training job of this folder where the settings say, as `learner.jobs.run_job` would, with its errors.

    It is one process where its method is not one that several can share.
    """
    if settings.runner == "ray" and find_spec("ray") is None:
        raise JobError('learner.jobs.runner is "ray" and Ray is not installed; expected it from: pip install "ratchet[ray]"')
    job = msgspec.json.decode((folder / JOB).read_bytes(), type=Job)
    if job.settings.method not in PARALLEL:
        settings = msgspec.structs.replace(settings, workers=1)
    (folder / PLACE).write_bytes(msgspec.json.encode(settings))
    alone = settings.runner == "local" and settings.workers == 1
    module = TRAINING if alone else RUNNERS[settings.runner]
    await run_job(module, folder, folder / METRICS, on_line, time_limit_s, memory_limit_mb)


def read_place(folder: Path) -> JobSettings:
    return msgspec.json.decode((folder / PLACE).read_bytes(), type=JobSettings)
