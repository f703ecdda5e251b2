"""The training job: a process of its own that turns a folder with `job.json` and `dataset.jsonl` into an adapter.

Run as `python -m learner.train.job FOLDER`. It never opens the database, may be killed at any moment, and then counts
for nothing: the adapter is written under another name and renamed, and `result.json` comes last.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from pathlib import Path

import msgspec
import torch

from learner.adapter import AdapterError, Card, check_adapter, write_adapter
from learner.jobs import leave_result, settle_in
from learner.model import model_sha256
from learner.rows import Row, Split, read_rows
from learner.train.methods import METHODS
from learner.train.mixed import Diverged
from learner.train.objective import token_logps
from learner.train.policy import Policy
from learner.train.spec import ADAPTER, JOB, METRICS, RESULT, ROWS, Job, Probe, Result, Step

PROBES = 4
PROBE_TOKENS = 96


def run(folder: Path) -> Result:
    """Trains, checks what came out, and leaves adapter and result in the folder. A bad outcome is a result too."""
    started_s = time.monotonic()
    job = msgspec.json.decode((folder / JOB).read_bytes(), type=Job)
    rows = [row for row in read_rows(folder / ROWS) if row.split is Split.TRAIN]
    shutil.rmtree(folder / ADAPTER, ignore_errors=True)  # of an earlier try, which does not count
    torch.manual_seed(job.settings.seed)
    torch.set_num_threads(job.settings.threads or len(os.sched_getaffinity(0)))
    policy = Policy(Path(job.model_dir), Path(job.parent_dir), job.settings.precision)
    try:
        with (folder / METRICS).open("wb", buffering=0) as metrics:
            final_loss = METHODS[job.settings.method](policy, rows, job.settings, lambda step: _report(metrics, step))
        probes = _probes(policy, rows)
        if not all(math.isfinite(value) for probe in probes for value in probe.candidate_logprobs):
            raise Diverged("the trained adapter gives log-probs that are not numbers")
        _save(policy, job, folder)
        result = Result(None, probes, len(rows), time.monotonic() - started_s, final_loss)
    except (Diverged, AdapterError) as error:
        result = Result(str(error), [], len(rows), time.monotonic() - started_s)
    leave_result(folder / RESULT, result)
    return result


def _report(metrics: object, step: Step) -> None:
    metrics.write(msgspec.json.encode(step) + b"\n")  # type: ignore[attr-defined]


def _save(policy: Policy, job: Job, folder: Path) -> None:
    model_dir, unfinished = Path(job.model_dir), folder / f"{ADAPTER}.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    card = Card(model_sha256(model_dir), job.parent, job.dataset_id)
    write_adapter(unfinished, policy.adapter_tensors(), job.settings.rank, model_dir, card)
    check_adapter(unfinished, model_dir, job.settings.rank)
    unfinished.rename(folder / ADAPTER)


def _probes(policy: Policy, rows: list[Row]) -> list[Probe]:
    """A few training texts under parent and candidate: those where a served candidate shows most clearly."""
    probes = []
    for row in sorted(rows, key=lambda row: row.id)[:16]:
        token_ids = [*row.prompt_ids, *row.answer_ids][:PROBE_TOKENS]
        text = (token_ids[:1], token_ids[1:])
        with policy.reference():
            parent = token_logps(*policy.logits([text])[:2])
        with torch.no_grad():
            candidate = token_logps(*policy.logits([text])[:2])
        probes.append(Probe(token_ids, parent.tolist(), candidate.tolist()))
    probes.sort(key=_difference, reverse=True)
    return probes[:PROBES]


def _difference(probe: Probe) -> float:
    pairs = zip(probe.parent_logprobs, probe.candidate_logprobs, strict=True)
    return sum(abs(parent - candidate) for parent, candidate in pairs) / len(probe.parent_logprobs)


if __name__ == "__main__":
    settle_in()
    run(Path(sys.argv[1]))
