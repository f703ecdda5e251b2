"""The proving job: what a few texts are worth under two adapters, by which the one can be told from the other when served.

Run as `python -m learner.train.proving FOLDER`. For adapters that were not trained here: training leaves its own proof.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import torch

from learner.jobs import leave_result, settle_in
from learner.train.objective import token_logps
from learner.train.place import use_threads
from learner.train.policy import Policy
from learner.train.spec import JOB, RESULT, Probe, Proved, Proving


def run(folder: Path) -> Proved:
    """Leaves a probe for each text."""
    job = msgspec.json.decode((folder / JOB).read_bytes(), type=Proving)
    use_threads(job.threads)
    parent, candidate = (_logps(job, Path(adapter)) for adapter in (job.parent_dir, job.candidate_dir))
    proved = Proved([Probe(*of_text) for of_text in zip(job.texts, parent, candidate, strict=True)])
    leave_result(folder / RESULT, proved)
    return proved


def _logps(job: Proving, adapter: Path) -> list[list[float]]:
    """Of each text but its first token."""
    policy = Policy(Path(job.model_dir), adapter, job.precision)
    with torch.no_grad():
        return [token_logps(*policy.logits([(text[:1], text[1:])])[:2]).tolist() for text in job.texts]


if __name__ == "__main__":
    settle_in()
    run(Path(sys.argv[1]))
