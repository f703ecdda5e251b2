"""The files a training job reads and writes; imported by both sides, without torch.

In its folder: `job.json` and `dataset.jsonl` in, `metrics.jsonl` (one line a step), `adapter/` and `result.json` out.
`result.json` is written last: a folder without it holds nothing that counts.
"""

from __future__ import annotations

from msgspec import Struct

from learner.config import TrainSettings

JOB, ROWS, METRICS, RESULT, ADAPTER = "job.json", "dataset.jsonl", "metrics.jsonl", "result.json", "adapter"


class Job(Struct, frozen=True):
    model_dir: str
    parent: str  # name of the adapter that is continued, and the reference
    parent_dir: str
    dataset_id: str
    settings: TrainSettings


class Step(Struct, frozen=True):
    """One line of metrics.jsonl. Terms are means over the rows of the step that have them."""

    step: int
    steps: int
    loss: float
    rows_per_s: float
    terms: dict[str, float] = {}


class Probe(Struct, frozen=True):
    """Proof material for the release: one text, and its log-probs by the trainer's parent and candidate.

    The log-probs are those of token_ids[1:], each given the tokens before it.
    """

    token_ids: list[int]
    parent_logprobs: list[float]
    candidate_logprobs: list[float]


class Result(Struct, frozen=True):
    """`error` says why there is no adapter; otherwise `probes` are there."""

    error: str | None
    probes: list[Probe]
    rows: int
    seconds: float
    final_loss: float | None = None
