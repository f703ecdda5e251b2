"""The files an evaluation job reads and writes; imported by both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from learner.config import JudgeSettings
from learner.machine import Precision

EVALUATION, RESULT, LINES = "evaluation.json", "result.json", "progress.jsonl"


class EvaluationJob(Struct, frozen=True):
    """What is to be scored: for each model the suites not scored before."""

    engine_urls: list[str]  # each has all the models
    model_dir: str
    suites_dirs: list[str]
    suites: dict[str, list[str]]  # model → names of suites
    concurrency: int
    judge: JudgeSettings | None = None  # of judged suites; its key is read from the environment


class Appraisal(Struct, frozen=True):
    """What the appraisal job reads: candidates, by name, and the version whose answers people voted on."""

    model_dir: str
    live: str
    live_dir: str
    candidate_dirs: dict[str, str]
    rows_file: str
    precision: Precision
    threads: int | None
    chunk_tokens: int  # of rows that are run together


class Appraised(Struct, frozen=True):
    """candidate → row id of a vote on an answer of the live version → what it says of the change in the share of thumbs up; and
    for candidates, the live version and base → row id → the answer's mean log-prob per token, as it was drawn."""

    gains: dict[str, dict[str, float]]
    means: dict[str, dict[str, float]]
    seconds: float


class Advance(Struct, frozen=True):
    """One line of progress: `done` of `total` items."""

    done: int
    total: int
    detail: str


@contextmanager
def telling(folder: Path, total: int) -> Iterator[Callable[[int, str], None]]:
    """Inside, what is to be called with the number of items that have just been done, and what they were."""
    done = 0
    with (folder / LINES).open("wb", buffering=0) as lines:

        def advance(count: int, detail: str) -> None:
            nonlocal done
            done += count
            lines.write(msgspec.json.encode(Advance(done, total, detail)) + b"\n")

        yield advance


class EvaluationResult(Struct, frozen=True):
    """model → suite → item → score.

    `sha256` are the suites' hashes as the job loaded them; `unjudged` judged suites have no scores, for these reasons.
    """

    suites: dict[str, dict[str, dict[str, float]]]
    sha256: dict[str, str]
    seconds: float
    unjudged: dict[str, str] = {}
