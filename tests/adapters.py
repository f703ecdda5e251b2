"""Adapters made without training, for tests of what happens to adapters."""

from __future__ import annotations

from pathlib import Path

import torch

from learner.adapter import Card, expected_shapes, write_adapter
from learner.context import Context
from learner.model import model_sha256
from learner.train.policy import Policy
from learner.train.spec import Probe
from learner.train.stage import publish
from storage import cycles
from storage.records import CycleState

TEXT = list(range(100, 164))  # any token ids do


def random_adapter(model_dir: Path, folder: Path, seed: int, scale: float = 0.06) -> Path:
    """A folder with an adapter that turns the model's answers into something else, differently for each seed."""
    generator = torch.Generator().manual_seed(seed)
    shapes = expected_shapes(model_dir, 16)
    tensors = {name: torch.randn(shape, generator=generator) * scale for name, shape in shapes.items()}
    write_adapter(folder, tensors, 16, model_dir, Card(model_sha256(model_dir), "base", None))
    return folder


async def published(context: Context, folder: Path, parent: str = "base") -> str:
    """Brings a folder in as the candidate of a cycle that has ended; gives its name."""
    database, now_s = context.database, context.clock()
    cycle = await database.write(lambda connection: cycles.insert_cycle(connection, "test", "test", now_s))
    try:
        return await publish(context, cycle, folder, None, parent)
    finally:
        ended = {"state": CycleState.REJECTED, "ended_at_s": now_s}
        await database.write(lambda connection: cycles.update_cycle(connection, cycle.id, **ended))


def probe(model_dir: Path, parent: Path, candidate: Path) -> Probe:
    """What a trainer would say of the two adapters on one text."""
    logprobs = []
    for folder in (parent, candidate):
        policy = Policy(model_dir, folder)
        with torch.no_grad():
            logits, tokens, _ = policy.logits([(TEXT[:1], TEXT[1:])])
            logprobs.append(torch.log_softmax(logits.float(), 1).gather(1, tokens[:, None]).squeeze(1).tolist())
    return Probe(TEXT, *logprobs)
