"""Where the model lies: on this process's GPU, on the CPU where there is none, or, too big for one GPU, spread over all.

Spread, each rank holds a piece of every layer of the base, and the layers come together one at a time while they compute
(FSDP, arXiv 2304.11277, as torch's `fully_shard`). The adapters are small and stay whole on each, as do embedding and head,
so that whatever reads, trains or saves an adapter need not know. All ranks then compute the same rows in step: it is memory
that is shared out, not work.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from peft import PeftModel
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from learner.machine import Precision, resolve
from learner.train.parallel import find_device


def find_dtype(precision: Precision) -> torch.dtype:
    """What products run in here: on a GPU "auto" is bfloat16."""
    if find_device().type == "cuda" and precision == "auto":
        return torch.bfloat16
    return torch.bfloat16 if resolve(precision) == "bfloat16" else torch.float32


def use_threads(threads: int | None) -> None:
    """Has torch compute with so many threads; unset, with as many as its process was given, or else cores that it may use."""
    torch.set_num_threads(threads or int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))


def place(model: PeftModel, spread: bool = False) -> torch.device:
    """Puts the model where it is to compute, and gives where inputs belong."""
    device = find_device()
    if spread and distributed.is_initialized():
        _spread(model, device)
    model.to(device)
    return device


def layer_classes(model: PeftModel) -> set[str]:
    """The names of the classes that the model's layers are of, as its architecture tells them. Raises `ValueError`."""
    base: Any = model.get_base_model()
    names = set(base._no_split_modules or ())
    if not names:
        raise ValueError(f"{type(base).__name__} does not say which modules are its layers: it cannot be spread")
    return names


def _spread(model: PeftModel, device: torch.device) -> None:
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    names = layer_classes(model)
    layers = [module for module in model.modules() if type(module).__name__ in names]
    for layer in layers:
        whole = {parameter for name, parameter in layer.named_parameters() if ".lora_" in name}
        fully_shard(layer, mesh=mesh, ignored_params=whole)
