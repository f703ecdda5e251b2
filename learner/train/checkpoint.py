"""What a killed run needs to go on: weights, the optimiser's moments, and what its lesson remembers. Safetensors, no pickle."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import torch
from msgspec import Struct
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from learner.rows import Row
from learner.train.spec import CHECKPOINTS, Work

NEWEST, UNFINISHED = "newest", "unfinished"
TENSORS, CARD = "tensors.safetensors", "card.json"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of AdamW


class _Card(Struct, frozen=True):
    run: str  # which run it belongs to
    step: int
    losses: list[float]
    state: dict[str, dict[str, float]]


class Checkpoint(NamedTuple):
    """A run after `step` steps. `state` is by whose it is; `tensors` are named by a parameter's place, and what of it they are."""

    step: int
    losses: Sequence[float]
    state: Mapping[str, Mapping[str, float]]
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(
        cls,
        step: int,
        losses: Sequence[float],
        state: Mapping[str, Mapping[str, float]],
        parameters: Sequence[torch.nn.Parameter],
        optimiser: torch.optim.Optimizer,
        kept: Sequence[Tensor],
    ) -> Checkpoint:
        tensors = {}
        for place, parameter in enumerate(parameters):
            tensors[f"{place}.weight"] = parameter.detach()
            tensors |= {
                f"{place}.{moment}": optimiser.state[parameter][moment] for moment in MOMENTS if parameter in optimiser.state
            }
        tensors |= {f"{place}.kept": tensor for place, tensor in enumerate(kept)}
        return cls(step, losses, state, tensors)

    def put_back(self, parameters: Sequence[torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> None:
        """Makes weights and optimiser what they were."""
        for place, parameter in enumerate(parameters):
            with torch.no_grad():
                parameter.copy_(self.tensors[f"{place}.weight"])
            if f"{place}.{MOMENTS[0]}" in self.tensors:
                moments = {moment: self.tensors[f"{place}.{moment}"] for moment in MOMENTS}
                optimiser.state[parameter] = {
                    name: moment.to(parameter.device) if moment.dim() else moment for name, moment in moments.items()
                }

    def kept(self, count: int) -> list[Tensor]:
        """The weights that brakes would put back."""
        return [self.tensors[f"{place}.kept"] for place in range(count)]


class Checkpoints:
    """The newest checkpoint of one run, in its job's folder. One of another run, or one that is damaged, is none."""

    def __init__(self, work: Work, rows: Sequence[Row]) -> None:
        self._folder = work.folder / CHECKPOINTS
        self._run = _name_run(work, rows)

    def load(self) -> Checkpoint | None:
        folder = self._folder / NEWEST
        try:
            card = msgspec.json.decode((folder / CARD).read_bytes(), type=_Card)
            if card.run != self._run:
                return None
            return Checkpoint(card.step, card.losses, card.state, load_file(folder / TENSORS))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, SafetensorError):
            return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Takes the place of the one before; a kill in between leaves one of the two, or none."""
        unfinished, newest = self._folder / UNFINISHED, self._folder / NEWEST
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}, unfinished / TENSORS)
        card = _Card(
            self._run, checkpoint.step, list(checkpoint.losses), {whose: dict(state) for whose, state in checkpoint.state.items()}
        )
        (unfinished / CARD).write_bytes(msgspec.json.encode(card))
        shutil.rmtree(newest, ignore_errors=True)
        unfinished.rename(newest)


def _name_run(work: Work, rows: Sequence[Row]) -> str:
    """Two runs have the same name where they would take the same steps: same settings, rows and weights to begin with."""
    digest = hashlib.sha256(msgspec.json.encode([work.settings, rows]))
    for parameter in work.policy.parameters():
        digest.update(parameter.detach().contiguous().view(torch.uint8).cpu().numpy().tobytes())
    return digest.hexdigest()
