"""The loop of every training that is our own: seeded batches, a gradient of each, a step, and a way back after a kill.

A run that is killed and started again in the same folder takes up its newest checkpoint and ends with the very weights
of a run that was not: batches follow from the seed, and everything else that a step depends on is in the checkpoint.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch

from learner.config import TrainSettings
from learner.rows import Row
from learner.train.brakes import Brakes
from learner.train.checkpoint import Checkpoint, Checkpoints
from learner.train.parallel import Ranks
from learner.train.spec import Diverged, Outcome, Step, Work

WARM_UP = 0.1  # of all steps


class Lesson(Protocol):
    """What is learnt from rows. `state` is what a step leaves for the next beside weights: a checkpoint keeps it."""

    def backward(self, batch: Sequence[Row]) -> Mapping[str, float]:
        """Adds the batch's gradient to the policy's; gives the mean of each term, "loss" among them.

        Where several processes train, each adds what comes of its `Ranks.share`, and all give the means over the batch.
        """

    def state(self) -> Mapping[str, float]: ...

    def restore(self, state: Mapping[str, float]) -> None: ...


def fit(work: Work, rows: Sequence[Row], lesson: Lesson, brakes: Brakes | None = None) -> Outcome:
    """Teaches the rows, `passes` times. Raises `Diverged`.

    Brakes may end it early: then the weights are those of the last check that was good.
    """
    settings, parameters, ranks = work.settings, work.policy.parameters(), Ranks.here(alike=work.settings.spread)
    if not rows:
        raise Diverged("there is no row of any weight to learn from")
    optimiser = make_optimiser(parameters, settings)
    batches = make_batches(rows, settings, settings.passes)
    checkpoints = Checkpoints(work, rows)
    done, losses = 0, list[float]()
    if (found := checkpoints.load()) is not None:
        done, losses = found.step, list(found.losses)
        found.put_back(parameters, optimiser)
        lesson.restore(found.state["lesson"])
        if brakes is not None:
            brakes.restore(found.state["brakes"], found.kept(len(parameters)))
    started_s, seen = time.monotonic(), 0
    for number, batch in enumerate(batches[done:], done + 1):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(number, len(batches))
        terms = lesson.backward(batch)
        ranks.sum_gradients(parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm))
        if not (math.isfinite(norm) and math.isfinite(terms["loss"])):
            raise Diverged(f"the loss diverged at step {number} of {len(batches)} (loss {terms['loss']}, gradient norm {norm})")
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seen += len(batch)
        losses.append(terms["loss"])
        rate = seen / (time.monotonic() - started_s)
        work.report(Step(number, len(batches), terms["loss"], rate, {**terms, "grad_norm": norm}))
        if brakes is not None and (reason := ranks.agree(brakes.check(number, len(batches), terms))):
            return Outcome(_last(losses, batches, settings), brakes.measures, f"at step {number} of {len(batches)}: {reason}")
        if number % settings.checkpoint_steps == 0 and number < len(batches) and ranks.leads:
            state = {"lesson": lesson.state(), "brakes": brakes.state() if brakes else {}}
            checkpoints.save(Checkpoint.of(number, losses, state, parameters, optimiser, brakes.kept if brakes else []))
    return Outcome(_last(losses, batches, settings), brakes.measures if brakes else {})


def _last(losses: Sequence[float], batches: Sequence[Sequence[Row]], settings: TrainSettings) -> float:
    """The mean loss of the last pass."""
    last = losses[-max(len(batches) // settings.passes, 1) :]
    return sum(last) / len(last)


def make_optimiser(parameters: Sequence[torch.nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    """That of every training here, also of TRL's: checkpoints know its moments."""
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.99))


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate: warm up over a tenth, then fall linearly to a tenth."""
    warm = max(int(steps * WARM_UP), 1)
    return step / warm if step <= warm else 1 - 0.9 * (step - warm) / max(steps - warm, 1)


def make_batches(rows: Sequence[Row], settings: TrainSettings, passes: int) -> list[list[Row]]:
    """Those of so many of a run's passes, each shuffled, with kinds and labels dealt evenly over the batches."""
    shuffle = random.Random(settings.seed).shuffle
    batches = []
    for _ in range(passes):
        order = _interleave(rows, shuffle)
        batches += [order[at : at + settings.batch_rows] for at in range(0, len(order), settings.batch_rows)]
    return batches


def _interleave(rows: Sequence[Row], shuffle: Callable[[list[Row]], None]) -> list[Row]:
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.kind, row.label), []).append(row)
    placed: list[tuple[float, Row]] = []
    for group in groups.values():
        shuffle(group)
        placed += [((index + 0.5) / len(group), row) for index, row in enumerate(group)]
    return [row for _, row in sorted(placed, key=lambda item: item[0])]
