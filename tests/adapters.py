"""Adapters made without training, for tests of what happens to adapters."""

from __future__ import annotations

from pathlib import Path

import torch

from learner.context import Context
from learner.train.policy import Policy
from learner.train.spec import Probe
from learner.train.stage import publish
from storage import cycles
from storage.records import CycleState

TEXT = list(range(100, 164))  # any token ids do


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
