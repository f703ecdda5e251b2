"""What a benchmark of the learner asks of an arm, and what the arm leaves; imported by both sides, without torch.

In an arm's folder: `arm.json` in, `steps.jsonl` (what `mixed` reports, so that it can be watched) and `result.json` out.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from learner.config import TrainSettings

ARM, STEPS, RESULT = "arm.json", "steps.jsonl", "result.json"


class Arm(StrEnum):
    """Who trains."""

    MIXED = "mixed"  # the daily method, over whole answers as the others
    MIXED_DAILY = "mixed_daily"  # with the settings it has every day
    TRL_CAREFUL = "trl_careful"  # as somebody sets TRL who wants it fast
    TRL_DEFAULT = "trl_default"  # as TRL comes


class Training(Struct, frozen=True):
    """One training from base. `settings` hold for all arms but TRL's defaults, which take the passes and the rank alone."""

    rows_file: str
    settings: TrainSettings


class ArmJob(Struct, frozen=True):
    """Trainings one after another, in one process."""

    arm: Arm
    model_dir: str
    trainings: list[Training]
    judged_rows: int  # of the last training's, by which its adapter is judged; 0 is not at all
    limit_s: float  # TRL stops at the end of the step after which a training has taken longer


class Trained(Struct, frozen=True):
    """Rows count as often as they were seen. Tokens are those of the distinct texts: a pair's prompt counts once."""

    rows: int
    tokens: int
    seconds: float  # with the pass of the reference, without loading the model and tokenising


class Judged(Struct, frozen=True):
    """What an adapter has learnt: by how much it prefers what people preferred, compared with base."""

    margin: float  # log-prob per token that liked answers gained over disliked ones, in the mean
    accuracy: float  # share of (liked, disliked) in which the liked one gained more
    loss: float  # DPO's, with TRL's β of 0.1 on summed log-probs, over the same pairs; ln 2 where nothing was learnt


class ArmResult(Struct, frozen=True):
    trained: list[Trained]
    peak_mb: float  # the most that the process ever held while it loaded and trained
    judged: Judged | None
