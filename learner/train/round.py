"""What a job of one round of `rloo` or `grpo` is told beside its rows; imported by both sides, without torch."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

ROUND = "round.json"  # in the job's folder


class Round(Struct, frozen=True):
    """Who gives the sampled answers their rewards, and which version the KL is measured from: the one before all rounds."""

    reward_dir: str
    live_dir: str


def read_round(folder: Path) -> Round | None:
    """None for a job that is no round: its rows bring their rewards, and its parent is what it is measured from."""
    file = folder / ROUND
    return msgspec.json.decode(file.read_bytes(), type=Round) if file.exists() else None


def write_round(folder: Path, told: Round) -> None:
    (folder / ROUND).write_bytes(msgspec.json.encode(told))
