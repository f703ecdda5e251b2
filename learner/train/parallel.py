"""A training job as several processes, each with the whole model and a share of every batch: data parallel.

They are told of each other as torch's launcher tells them (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`,
`MASTER_PORT`), by whatever started them: `python -m torch.distributed.run --nproc-per-node 2 -m learner.train.job FOLDER`
does, and so do `learner.runners`. All make the same batches from the same seed, and start from the same weights; as the
gradients are summed before each step, they also end with the same, which are those of one process but for rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")

SILENCE = timedelta(minutes=30)  # of one rank, while it computes, that the others put up with


def find_device() -> torch.device:
    """The GPU that is this process's, or the CPU where there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """Inside, this process trains together with the others that were started with it; alone where none were."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Ranks()
        return
    device = find_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=SILENCE)
    yield Ranks.here()
    distributed.destroy_process_group()  # not after an error: it would wait for ranks that wait for this one; exiting tells them


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together. Methods that give what all have are called by all, in the same order."""

    rank: int = 0
    world: int = 1
    alike: bool = False  # all compute every row: the model is spread over them (`learner.train.place`), and they go in step

    @classmethod
    def here(cls, alike: bool = False) -> Ranks:
        if not distributed.is_initialized():
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size(), alike)

    @property
    def leads(self) -> bool:
        """Whether this one reports, keeps checkpoints and writes what came out; the others only compute."""
        return self.rank == 0

    def share(self, rows: Sequence[T]) -> Sequence[T]:
        """This rank's rows of a batch; there may be none. The shares of all are the batch, unless all compute alike."""
        return rows if self.alike else rows[self.rank :: self.world]

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Gives every parameter the gradient of the whole batch, by which losses are divided: one message for all."""
        if self.world == 1 or self.alike:
            return
        for parameter in parameters:
            if parameter.grad is None:  # of a rank that had no row of this batch
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, summed in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def gather(self, value: T) -> list[T]:
        """What the shares of a batch came to, by rank. Small things only: they are pickled, among processes of one job."""
        if self.world == 1 or self.alike:
            return [value]
        gathered: list[T] = [value] * self.world
        distributed.all_gather_object(gathered, value)
        return gathered

    def agree(self, value: T) -> T:
        """The leader's value: for decisions that all must take alike."""
        if self.world == 1:
            return value
        agreed = [value]
        distributed.broadcast_object_list(agreed, src=0)
        return agreed[0]
