"""The files a training job reads and writes; imported by both sides, without torch.

In its folder: `job.json` and `dataset.jsonl` in, `metrics.jsonl` (one line a step), `adapter/` and `result.json` out.
`result.json` is written last: a folder without it holds nothing that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from learner.config import TrainSettings
from learner.machine import Precision
from learner.rows import Row

if TYPE_CHECKING:
    from learner.train.policy import Policy

JOB, ROWS, METRICS, RESULT, ADAPTER = "job.json", "dataset.jsonl", "metrics.jsonl", "result.json", "adapter"
REWARD = "reward"  # what the method of that name leaves instead of an adapter
CHECKPOINTS = "checkpoints"  # of an unfinished run; nobody else reads them


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


class Proving(Struct, frozen=True):
    """What the proving job reads: two adapters, and token ids of texts to tell them apart by."""

    model_dir: str
    parent_dir: str
    candidate_dir: str
    texts: list[list[int]]
    precision: Precision
    threads: int | None


class Proved(Struct, frozen=True):
    """What it leaves."""

    probes: list[Probe]


class Result(Struct, frozen=True):
    """`error` says why there is no adapter; otherwise `probes` are there. `measures` are the method's own, by name."""

    error: str | None
    probes: list[Probe]
    rows: int
    seconds: float
    final_loss: float | None = None
    measures: dict[str, float] = {}
    stopped: str = ""  # why training ended before its last step; empty where it did not


class Diverged(Exception):
    """The loss is no longer a finite number; nothing may be made of these weights."""


@dataclass(frozen=True)
class Work:
    """What a method gets: the model with the adapter to be taught, what to teach it, and where it may keep checkpoints."""

    policy: Policy
    rows: Sequence[Row]  # to learn from
    heldout: Sequence[Row]  # to measure by, never to learn or choose from
    settings: TrainSettings
    folder: Path  # the job's; what a method keeps there for a resumed run lies below `CHECKPOINTS`
    report: Callable[[Step], None]


class Outcome(Struct, frozen=True):
    """What a method has done to the policy. `measures` are figures of its own, such as a held-out perplexity."""

    final_loss: float  # mean of the last pass
    measures: dict[str, float] = {}
    stopped: str = ""  # why it ended before its last step; empty where it did not
