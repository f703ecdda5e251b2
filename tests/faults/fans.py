"""People who like one answer and dislike another, and what a model becomes that learns from them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from learner.config import TrainSettings
from learner.rows import Row, RowKind, Split, write_rows
from learner.train.spec import ADAPTER, JOB, ROWS, Job

RANK = 16
LIKED, DISLIKED = (21, 22), (31, 32)


def votes() -> list[Row]:
    """Of eight people, each of whom likes one answer and dislikes another."""
    return [
        Row(
            f"{name}-{person}",
            f"person-{person}",
            RowKind.THUMB,
            Split.HELDOUT,
            1.0,
            (1, 2),
            (*ids, 100 + person),
            label,
            drawn_by="base",
        )
        for person in range(8)
        for name, ids, label in (("up", LIKED, 1), ("down", DISLIKED, -1))
    ]


def teach(folder: Path, model_dir: Path, base: Path) -> Path:
    """An adapter that has learnt what these people like, in the folder."""
    from learner.train import job  # only here: it takes seconds

    write_rows(folder / ROWS, [msgspec.structs.replace(vote, split=Split.TRAIN) for vote in votes()])
    settings = TrainSettings(rank=RANK, learning_rate=5e-3, threads=1)  # a small model's
    (folder / JOB).write_bytes(msgspec.json.encode(Job(str(model_dir), "base", str(base), "these votes", settings)))
    assert job.run(folder).error is None
    return folder / ADAPTER
