"""The training job: a process of its own that turns a folder with `job.json` and `dataset.jsonl` into an adapter.

Run as `python -m learner.train.job FOLDER`. It never opens the database, may be killed at any moment, and then counts
for nothing: the adapter is written under another name and renamed, and `result.json` comes last.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import torch

from learner.adapter import AdapterError, Card, check_adapter, write_adapter
from learner.jobs import leave_result, settle_in
from learner.model import model_sha256
from learner.rows import Row, Split, read_rows
from learner.train import trackers
from learner.train.methods import MAKES_NO_ADAPTER, load_method
from learner.train.parallel import Ranks, find_device, join_ranks
from learner.train.place import use_threads
from learner.train.policy import Policy
from learner.train.proving import text_logps
from learner.train.spec import ADAPTER, JOB, METRICS, RESULT, ROWS, Diverged, Job, Probe, Result, Step, Work

PROBES = 4
LOOKED_AT = 16  # texts of which those are chosen
PROBE_TOKENS = 96


def run(folder: Path) -> Result:
    """Trains, checks what came out, and leaves adapter and result in the folder. A bad outcome is a result too."""
    started_s = time.monotonic()
    job = msgspec.json.decode((folder / JOB).read_bytes(), type=Job)
    everything = list(read_rows(folder / ROWS))
    rows, heldout = ([row for row in everything if row.split is split] for split in (Split.TRAIN, Split.HELDOUT))
    ranks = Ranks.here()
    if ranks.leads:
        shutil.rmtree(folder / ADAPTER, ignore_errors=True)  # of an earlier try, which does not count
    torch.manual_seed(job.settings.seed)
    use_threads(job.settings.threads)
    policy = load_policy(job)
    if find_device().type == "cuda":
        torch.set_default_device(find_device())  # what lessons make of rows is then where the model is
    try:
        with _reporting(folder, job.settings.trackers, ranks) as report:
            outcome = load_method(job.settings.method)(Work(policy, rows, heldout, job.settings, folder, report))
        probes = [] if job.settings.method in MAKES_NO_ADAPTER else _finish(policy, rows, job, folder, ranks)
        took_s = time.monotonic() - started_s
        result = Result(None, probes, len(rows), took_s, outcome.final_loss, outcome.measures, outcome.stopped)
    except (Diverged, AdapterError) as error:
        result = Result(str(error), [], len(rows), time.monotonic() - started_s)
    if ranks.leads:
        leave_result(folder / RESULT, result)
    return result


def load_policy(job: Job) -> Policy:
    settings = job.settings
    dirs = Path(job.model_dir), Path(job.parent_dir)
    return Policy(*dirs, settings.precision, settings.spread, settings.learn_share, settings.keep_states_mb)


def _finish(policy: Policy, rows: list[Row], job: Job, folder: Path, ranks: Ranks) -> list[Probe]:
    """Checks the adapter that was taught and saves it; gives the proof of it."""
    probes = _probes(policy, rows)
    if not all(math.isfinite(value) for probe in probes for value in probe.candidate_logprobs):
        raise Diverged("the trained adapter gives log-probs that are not numbers")
    if ranks.leads:
        _save(policy, job, folder)
    return probes


@contextmanager
def _reporting(folder: Path, names: Sequence[str], ranks: Ranks) -> Iterator[Callable[[Step], None]]:
    """Where steps go: to metrics.jsonl, and to the trackers that are named; of other ranks than the leader nowhere."""
    if not ranks.leads:
        yield lambda step: None
        return
    with closing(_Metrics(folder / METRICS)) as metrics, trackers.open(names, folder) as track:

        def report(step: Step) -> None:
            metrics.add(step)
            track(step)

        yield report


class _Metrics:
    """The lines of a run. One that goes on after a kill keeps those of the steps it does not take again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stream: BinaryIO | None = None

    def add(self, step: Step) -> None:
        if self._stream is None:
            self._stream = self._open(step.step)
        self._stream.write(msgspec.json.encode(step) + b"\n")

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _open(self, first: int) -> BinaryIO:
        lines = self._file.read_bytes().splitlines(keepends=True) if self._file.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]  # the last one may have been cut off
        kept = [line for line in whole if msgspec.json.decode(line, type=Step).step < first]
        self._file.write_bytes(b"".join(kept))
        return self._file.open("ab", buffering=0)


def _save(policy: Policy, job: Job, folder: Path) -> None:
    model_dir, unfinished = Path(job.model_dir), folder / f"{ADAPTER}.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    card = Card(model_sha256(model_dir), job.parent, job.dataset_id)
    write_adapter(unfinished, policy.adapter_tensors(), job.settings.rank, model_dir, card)
    check_adapter(unfinished, model_dir, job.settings.rank, job.settings.max_change)
    unfinished.rename(folder / ADAPTER)


def _probes(policy: Policy, rows: list[Row]) -> list[Probe]:
    """A few training texts under parent and candidate: those where a served candidate shows most clearly."""
    taken = [[*row.prompt_ids, *row.answer_ids][:PROBE_TOKENS] for row in sorted(rows, key=lambda row: row.id)[:LOOKED_AT]]
    with policy.reference():
        parent = text_logps(policy, taken)
    candidate = text_logps(policy, taken)
    probes = [Probe(*of_text) for of_text in zip(taken, parent, candidate, strict=True)]
    probes.sort(key=_difference, reverse=True)
    return probes[:PROBES]


def _difference(probe: Probe) -> float:
    pairs = zip(probe.parent_logprobs, probe.candidate_logprobs, strict=True)
    return sum(abs(parent - candidate) for parent, candidate in pairs) / len(probe.parent_logprobs)


if __name__ == "__main__":
    settle_in()
    with join_ranks():
        run(Path(sys.argv[1]))
