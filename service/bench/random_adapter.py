"""An adapter that nobody trained: random numbers, which turn the answers into something else."""

from __future__ import annotations

from pathlib import Path

from learner.adapter import BASE, Card, expected_shapes, write_adapter
from learner.model import model_sha256

SCALE = 0.06  # standard deviation of the numbers: enough to be heard, and far from ruin by `check_adapter`


def make_random_adapter(model_dir: Path, folder: Path, rank: int, seed: int, scale: float = SCALE) -> Path:
    """Writes a new adapter folder of this base, another one for each seed."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    shapes = expected_shapes(model_dir, rank)
    tensors = {name: torch.randn(shape, generator=generator) * scale for name, shape in shapes.items()}
    write_adapter(folder, tensors, rank, model_dir, Card(model_sha256(model_dir), BASE, None))
    return folder
