"""The proving job: what a few texts are worth under two adapters, by which the one can be told from the other when served.

Run as `python -m learner.train.proving FOLDER`. For adapters that were not trained here: training leaves its own proof.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from learner.jobs import leave_result, settle_in
from learner.train.objective import token_logps
from learner.train.pack import in_chunks
from learner.train.place import use_threads
from learner.train.policy import Policy
from learner.train.spec import JOB, RESULT, Probe, Proved, Proving

CHUNK_TOKENS = 1024  # of texts that are run together


def run(folder: Path) -> Proved:
    """Leaves a probe for each text."""
    job = msgspec.json.decode((folder / JOB).read_bytes(), type=Proving)
    use_threads(job.threads)
    policies = (Policy(Path(job.model_dir), Path(adapter), job.precision) for adapter in (job.parent_dir, job.candidate_dir))
    parent, candidate = (text_logps(policy, job.texts) for policy in policies)
    proved = Proved([Probe(*of_text) for of_text in zip(job.texts, parent, candidate, strict=True)])
    leave_result(folder / RESULT, proved)
    return proved


@torch.no_grad()
def text_logps(policy: Policy, texts: Sequence[list[int]]) -> list[list[float]]:
    """Of each text's tokens but the first, under the policy as it is."""
    found: list[list[float]] = []
    for chunk in in_chunks(texts, [len(ids) for ids in texts], CHUNK_TOKENS):
        logits_TV, tokens_T, _ = policy.logits([(ids[:1], ids[1:]) for ids in chunk])
        found += [part.tolist() for part in token_logps(logits_TV, tokens_T).split([len(ids) - 1 for ids in chunk])]
    return found


if __name__ == "__main__":
    settle_in()
    run(Path(sys.argv[1]))
