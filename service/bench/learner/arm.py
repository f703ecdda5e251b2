"""One arm of `ratchet bench learner`, in a process of its own so that its memory is its own.

Run as `python -m service.bench.learner.arm FOLDER`, on what `service.bench.learner.spec` describes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec
import torch

from learner.adapter import BASE, Card, make_zero_adapter, write_adapter
from learner.config import TrainSettings
from learner.jobs import leave_result, settle_in
from learner.model import model_sha256
from learner.rows import Row, read_rows
from learner.train.spec import ADAPTER, Step, Work
from service.bench.learner.rows import count_tokens
from service.bench.learner.spec import ARM, RESULT, STEPS, Arm, ArmJob, ArmResult, Judged, Trained, Training

STATUS = Path("/proc/self/status")


def run(folder: Path) -> ArmResult:
    """Does the job in the folder, and leaves its result there."""
    job = msgspec.json.decode((folder / ARM).read_bytes(), type=ArmJob)
    folders = [folder / f"training-{number}" for number in range(len(job.trainings))]
    with (folder / STEPS).open("wb", buffering=0) as lines:
        trained = [_train(job, training, place, lines) for training, place in zip(job.trainings, folders, strict=True)]
    peak_mb = read_peak_mb()
    result = ArmResult(trained, peak_mb, _judge(job, folders[-1] / ADAPTER) if job.judged_rows else None)
    leave_result(folder / RESULT, result)
    return result


def read_peak_mb(status: Path = STATUS) -> float:
    """The most that this process ever held. Not from getrusage: there the process that started this one counts too."""
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def _train(job: ArmJob, training: Training, folder: Path, lines: BinaryIO) -> Trained:
    """Leaves the adapter in the new folder."""
    folder.mkdir()
    model_dir, settings, rows = Path(job.model_dir), training.settings, list(read_rows(Path(training.rows_file)))
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
    if job.arm in (Arm.MIXED, Arm.MIXED_DAILY):
        return _train_mixed(model_dir, rows, settings, folder, lambda step: _report(lines, step))
    from service.bench.learner import trl

    return trl.train(model_dir, rows, settings, job.arm is Arm.TRL_CAREFUL, job.limit_s, folder)


def _train_mixed(
    model_dir: Path, rows: Sequence[Row], settings: TrainSettings, folder: Path, report: Callable[[Step], None]
) -> Trained:
    from learner.train.methods import load_method
    from learner.train.policy import Policy

    make_zero_adapter(model_dir, folder / BASE, settings.rank)
    train = load_method("mixed")
    policy = Policy(
        model_dir, folder / BASE, settings.precision, learn_share=settings.learn_share, keep_states_mb=settings.keep_states_mb
    )
    began = time.perf_counter()
    train(Work(policy, rows, [], settings, folder, report))
    seconds = time.perf_counter() - began
    card = Card(model_sha256(model_dir), BASE, None)
    write_adapter(folder / ADAPTER, policy.adapter_tensors(), settings.rank, model_dir, card)
    return Trained(len(rows) * settings.passes, sum(map(count_tokens, rows)) * settings.passes, seconds)


def _report(lines: BinaryIO, step: Step) -> None:
    lines.write(msgspec.json.encode(step) + b"\n")


def _judge(job: ArmJob, adapter_dir: Path) -> Judged:
    from service.bench.learner.judge import judge

    rows = [*islice(read_rows(Path(job.trainings[-1].rows_file)), job.judged_rows)]
    return judge(Path(job.model_dir), adapter_dir, rows)


if __name__ == "__main__":
    settle_in()
    run(Path(sys.argv[1]))
