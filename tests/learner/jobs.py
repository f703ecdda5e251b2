"""Training jobs of the tiny model, as folders, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from learner.rows import Row, write_rows
from learner.train.spec import ADAPTER, JOB, METRICS, ROWS, Job, Step
from tests.learner.tiny import SETTINGS, corrections, replays, thumbs

MIXED_ROWS = [*thumbs(13), *corrections(4), *replays(4)]  # 21 rows: neither batches nor shares come out even


def make_job(folder: Path, model_dir: Path, parent_dir: Path, rows: Sequence[Row] = MIXED_ROWS, **changes: object) -> Path:
    """A job's folder, to be trained in float32."""
    folder.mkdir()
    write_rows(folder / ROWS, rows)
    settings = msgspec.structs.replace(SETTINGS, **{"precision": "float32", "passes": 2, **changes})
    (folder / JOB).write_bytes(msgspec.json.encode(Job(str(model_dir), "base", str(parent_dir), "dataset-1", settings)))
    return folder


def steps_in(folder: Path) -> list[Step]:
    return [msgspec.json.decode(line, type=Step) for line in (folder / METRICS).read_bytes().splitlines()]


def adapter_in(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(folder / ADAPTER / "adapter_model.safetensors")
    return tensors


def assert_same(folder: Path, other: Path) -> None:
    """Two jobs took the same steps to the same weights, but for rounding."""
    ours, theirs = adapter_in(folder), adapter_in(other)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert max(float(tensor.abs().max()) for tensor in ours.values()) > 0.05  # they did learn
    for step, again in zip(steps_in(folder), steps_in(other), strict=True):
        assert (step.step, step.steps) == (again.step, again.steps)
        assert step.terms == pytest.approx(again.terms, rel=1e-3, abs=1e-4)
