"""A vLLM plugin that makes LoRA on the CPU fast, and leaves tokens without an adapter alone.

vLLM's own CPU wrapper gathers a full copy of A and B for every token, and gives tokens of the base model
(slot -1) the weights of the last slot. Here a layer multiplies once per distinct adapter in the batch: by the A of all
its slices at once (q, k and v; gate and up), then by the B of each, straight into the slice's columns of the output.
Measured on SmolLM2's layers in float32, that beat one block-diagonal B, which reads zeros too, and one product over all
slots with the others' part masked, which computes every row for every adapter. vLLM loads the plugin by its entry point
`vllm.general_plugins` in every process.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger("vllm.ratchet")

KNOWN_VERSIONS = ("0.32",)
LONG_RUN = 16  # rows of one adapter behind one another, on average, from which on sorting costs more than it saves


def register() -> None:
    """Replace the linear LoRA operation of vLLM's CPU wrapper; do nothing on a version not known to fit."""
    import vllm

    if not is_known(vllm.__version__):
        return
    from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    layer: Any = BaseLinearLayerWithLoRA
    layer.set_mapping = _set_mapping_with_one_a(layer.set_mapping)
    layer.reset_lora = _reset_and_forget(layer.reset_lora)
    wrapper: Any = PunicaWrapperCPU
    wrapper.ratchet_batch = Batch(None, ())
    wrapper.update_metadata = _update_metadata_then_arrange(wrapper.update_metadata)
    wrapper.add_lora_linear = _add_lora_linear


def is_known(version: str) -> bool:
    """Whether this was written for that version of vLLM; says so in the log where it was not."""
    if version.startswith(KNOWN_VERSIONS):
        return True
    logger.warning("vLLM %s is not one of %s: its own CPU LoRA stays in use", version, ", ".join(KNOWN_VERSIONS))
    return False


class Run(NamedTuple):
    """Rows behind one another that use the same adapter."""

    slot: int
    rows: slice


class Batch(NamedTuple):
    """Which rows of a step use which adapter. Rows of the base model are in no run.

    `order` has the rows with adapters, sorted by slot, where the runs are over those; None where they are over the
    batch as it is.
    """

    order: Tensor | None
    runs: tuple[Run, ...]


class OneA(tuple["Tensor", ...]):
    """A layer's `lora_a_stacked`, (slots, 1, rank, in) for each slice, as views of `whole`, (slots, slices * rank, in).

    vLLM writes an adapter into the views, so what is multiplied cannot be older.
    """

    whole: Tensor
    adds: dict[int, bool]  # slot → whether its adapter changes the layer at all; what is not known yet is looked up

    def __new__(cls, stacked: Sequence[Tensor]) -> OneA:
        import torch

        whole = torch.cat(list(stacked), dim=2).squeeze(1)
        ends = [*accumulate(a.shape[2] for a in stacked)]
        one = super().__new__(cls, [whole[:, None, end - a.shape[2] : end] for a, end in zip(stacked, ends, strict=True)])
        one.whole, one.adds = whole, {}
        return one

    def is_adding(self, slot: int, lora_b_stacked: Sequence[Tensor]) -> bool:
        """False for adapters of zeros, like the one that people know as base."""
        known = self.adds.get(slot)
        if known is None:
            known = self.adds[slot] = any(bool(b[slot].any()) for b in lora_b_stacked)
        return known


def _set_mapping_with_one_a(set_mapping: Any) -> Any:
    """vLLM calls it on each layer after it has made the weights, and before the first adapter."""

    def set_both(self: Any, punica_wrapper: Any) -> None:
        set_mapping(self, punica_wrapper)
        self.lora_a_stacked = OneA(self.lora_a_stacked)

    return set_both


def _reset_and_forget(reset_lora: Any) -> Any:
    """vLLM calls it on each layer before it writes another adapter into a slot."""

    def reset(self: Any, index: int) -> None:
        reset_lora(self, index)
        if isinstance(self.lora_a_stacked, OneA):
            self.lora_a_stacked.adds.pop(index, None)

    return reset


def _update_metadata_then_arrange(update_metadata: Any) -> Any:
    """vLLM calls it before a step whose rows use other adapters, or other slots, than those of the step before."""

    def update(self: Any, *args: Any, **kwargs: Any) -> None:
        update_metadata(self, *args, **kwargs)
        self.ratchet_batch = arrange(self.token_lora_indices)

    return update


def arrange(slot_by_row: Tensor) -> Batch:
    """The runs of a batch, from the slot of each row; -1 is the base model.

    Short runs of few adapters are brought together: copying a row costs less than another product.
    """
    runs = _find_runs(slot_by_row)
    rows = sum(run.rows.stop - run.rows.start for run in runs)
    if len(runs) == len({run.slot for run in runs}) or rows >= LONG_RUN * len(runs):
        return Batch(None, runs)
    order = slot_by_row.argsort(stable=True)[-rows:]
    return Batch(order, _find_runs(slot_by_row[order]))


def _find_runs(slot_by_row: Tensor) -> tuple[Run, ...]:
    find: Any = slot_by_row.unique_consecutive  # PyTorch gives it no types
    slots, lengths = find(return_counts=True)
    stops = lengths.cumsum(0)
    spans = zip(slots.tolist(), (stops - lengths).tolist(), stops.tolist(), strict=True)
    return tuple(Run(slot, slice(start, stop)) for slot, start, stop in spans if slot >= 0)


def _add_lora_linear(
    self: Any,
    y: Tensor,
    x: Tensor,
    lora_a_stacked: OneA,
    lora_b_stacked: tuple[Tensor, ...],
    scale: float,
    output_slices: tuple[int, ...],
    **_: Any,
) -> None:
    """y[:, slice] += scale * x @ A.T @ B.T for each slice, with the A and B of each row's slot.

    x: (rows, in), y: (rows, out), B: (slots, 1, slice, rank) for each slice. The product with A is rounded to the
    weights' type, as PEFT rounds it; that with B is added before it is rounded.
    """
    order, all_runs = self.ratchet_batch
    runs = [run for run in all_runs if lora_a_stacked.is_adding(run.slot, lora_b_stacked)]
    if not runs:
        return
    x_runs, y_runs = (x, y) if order is None else (x[order], y[order])
    for slot, rows in runs:
        hidden = x_runs[rows] @ lora_a_stacked.whole[slot].T  # (rows, slices * rank)
        at = start = 0
        for b, width in zip(lora_b_stacked, output_slices, strict=True):
            rank = b.shape[-1]
            part = y_runs[rows, start : start + width]
            part.addmm_(hidden[:, at : at + rank], b[slot, 0].T, alpha=scale)
            at, start = at + rank, start + width
    if order is not None:
        y[order] = y_runs
