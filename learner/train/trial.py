"""One training job as the service runs it: in a folder of its own, where what was cut off goes on."""

from __future__ import annotations

import asyncio
import filecmp
import shutil
from pathlib import Path

import msgspec

from learner.context import Context
from learner.pace import Pace
from learner.runners.spec import run_training
from learner.train.spec import ADAPTER, CHECKPOINTS, JOB, METRICS, RESULT, REWARD, ROWS, Job, Result, Step

LEFT = (CHECKPOINTS, METRICS, RESULT, ADAPTER, REWARD)  # in its folder, by a job


async def run_trial(context: Context, folder: Path, job: Job, rows: Path, called: str = "") -> Result:
    """Runs the job on these rows to its end, and gives what came of it; `called` is who learns, for people who watch.

    Where the folder has the same job already, it goes on from its checkpoint, or is not run again if it had ended. Raises
    `JobError`.
    """
    await asyncio.to_thread(_prepare, folder, job, rows)
    if (result := _read_finished(folder)) is not None:
        return result
    settings, pace = job.settings, Pace()

    def show(line: bytes) -> None:
        step, progress = msgspec.json.decode(line, type=Step), context.progress
        progress.done, progress.total, progress.detail = step.step, step.steps, called
        progress.loss, progress.rows_per_s, progress.eta_s = step.loss, step.rows_per_s, pace.eta_s(step.step, step.steps)

    await run_training(context.settings.jobs, folder, show, settings.time_limit_s, settings.memory_limit_mb)
    return msgspec.json.decode((folder / RESULT).read_bytes(), type=Result)


def _prepare(folder: Path, job: Job, rows: Path) -> None:
    """Makes the folder this job's: what another one has left there goes. The job's own file comes last."""
    told, encoded = folder / JOB, msgspec.json.encode(job)
    if told.exists() and told.read_bytes() == encoded and _are_same(folder / ROWS, rows):
        return
    told.unlink(missing_ok=True)
    for left in LEFT:
        _remove(folder / left)
    folder.mkdir(parents=True, exist_ok=True)
    if rows != folder / ROWS:
        shutil.copyfile(rows, folder / ROWS)
    told.write_bytes(encoded)


def _are_same(file: Path, other: Path) -> bool:
    return file.exists() and (file == other or filecmp.cmp(file, other, shallow=False))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_finished(folder: Path) -> Result | None:
    """What came of the job, where it ran to its end and what it made is still here."""
    if not (folder / RESULT).exists():
        return None
    result = msgspec.json.decode((folder / RESULT).read_bytes(), type=Result)
    if result.error or any((folder / made).is_dir() for made in (ADAPTER, REWARD)):
        return result
    (folder / RESULT).unlink()
    return None
