"""A vLLM plugin that makes LoRA on the CPU fast, and leaves tokens without an adapter alone.

vLLM's own CPU wrapper gathers a full copy of A and B for every token, and gives tokens of the base model
(slot -1) the weights of the last slot. Here the A of all slices of a layer (q, k and v; gate and up) are one matrix, and so
are the B, with zeros between. A layer multiplies by either once per distinct adapter in the batch; in a batch of few rows, as
in decoding, where a product costs more to begin than to do, once for all adapters together, with the others' part of each
row masked. vLLM loads the plugin by its entry point `vllm.general_plugins` in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from service.vllm_plugins import is_known

if TYPE_CHECKING:
    from torch import Tensor

FEW_ROWS = 128  # up to which one masked product for all adapters costs less than one for each
LONG_RUN = 16  # rows of one adapter behind one another, on average, from which on sorting costs more than it saves


def register() -> None:
    """Replace the linear LoRA operation of vLLM's CPU wrapper; do nothing on a version not known to fit."""
    import vllm

    if not is_known(vllm.__version__, "its own CPU LoRA stays in use"):
        return
    from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    layer: Any = BaseLinearLayerWithLoRA
    layer.set_mapping = _set_mapping_and_join(layer.set_mapping)
    layer.reset_lora = _reset_and_forget(layer.reset_lora)
    wrapper: Any = PunicaWrapperCPU
    wrapper.ratchet_batch = Batch(None, ())
    wrapper.update_metadata = _update_metadata_then_arrange(wrapper.update_metadata)
    wrapper.add_lora_linear = _add_lora_linear


class Run(NamedTuple):
    """Rows behind one another that use the same adapter."""

    slot: int
    rows: slice


class Batch(NamedTuple):
    """Which rows of a step use which adapter. Rows of the base model are in no run.

    `order` has the rows with adapters, sorted by slot, where the runs are over those; None where they are over the
    batch as it is. `others`, (rows, slots, 1), says which slots are not a row's own, where the batch is multiplied at once.
    """

    order: Tensor | None
    runs: tuple[Run, ...]
    others: Tensor | None = None


class OneA(tuple["Tensor", ...]):
    """A layer's `lora_a_stacked`, (slots, 1, rank, in) for each slice, as views of `whole`, (slots, slices * rank, in).

    vLLM writes an adapter into the views, so what is multiplied cannot be older.
    """

    whole: Tensor
    together: Tensor  # (in, slots * slices * rank), of it
    each: list[Tensor]  # (in, slices * rank), of it, by slot

    def __new__(cls, stacked: Sequence[Tensor]) -> OneA:
        import torch

        whole = torch.cat(list(stacked), dim=2).squeeze(1)
        one = super().__new__(cls, [whole[:, None, ranks] for ranks in _beside(a.shape[2] for a in stacked)])
        one.whole, one.together, one.each = whole, whole.flatten(0, 1).T, [*whole.transpose(1, 2)]
        return one


class OneB(tuple["Tensor", ...]):
    """A layer's `lora_b_stacked`, (slots, 1, slice, rank) for each slice, as views of `whole`, (out, slots, slices * rank).

    `whole` is zero where a slice meets another's ranks. Of an adapter, or of all, is looked up once what it is good for.
    """

    whole: Tensor
    together: Tensor  # (slots * slices * rank, out), of it
    each: list[Tensor]  # (slices * rank, out), of it, by slot
    adds: dict[int, bool]  # slot → whether its adapter changes the layer at all
    finite: bool | None  # whether all numbers are

    def __new__(cls, stacked: Sequence[Tensor]) -> OneB:
        widths, ranks = [*_beside(b.shape[2] for b in stacked)], [*_beside(b.shape[3] for b in stacked)]
        whole = stacked[0].new_zeros(widths[-1].stop, len(stacked[0]), ranks[-1].stop)
        views = [whole[width, :, rank].transpose(0, 1)[:, None] for width, rank in zip(widths, ranks, strict=True)]
        for view, b in zip(views, stacked, strict=True):
            view.copy_(b)
        one = super().__new__(cls, views)
        one.whole, one.together, one.each = whole, whole.flatten(1).T, [*whole.permute(1, 2, 0)]
        one.adds, one.finite = {}, None
        return one

    def is_adding(self, slot: int) -> bool:
        """False for adapters of zeros, like the one that people know as base."""
        known = self.adds.get(slot)
        if known is None:
            known = self.adds[slot] = bool(self.whole[:, slot].any())
        return known

    def is_finite(self) -> bool:
        """Whether zero times any of it is zero, so that masked rows take nothing of it."""
        if self.finite is None:
            self.finite = bool(self.whole.isfinite().all())
        return self.finite

    def forget(self, slot: int) -> None:
        """To be called before another adapter is written into a slot."""
        self.adds.pop(slot, None)
        self.finite = None


def _beside(lengths: Iterable[int]) -> Iterator[slice]:
    """Where things of these lengths are, one behind the other."""
    stop = 0
    for length in lengths:
        start, stop = stop, stop + length
        yield slice(start, stop)


def _set_mapping_and_join(set_mapping: Any) -> Any:
    """vLLM calls it on each layer after it has made the weights, and before the first adapter."""

    def set_both(self: Any, punica_wrapper: Any) -> None:
        set_mapping(self, punica_wrapper)
        self.lora_a_stacked, self.lora_b_stacked = OneA(self.lora_a_stacked), OneB(self.lora_b_stacked)

    return set_both


def _reset_and_forget(reset_lora: Any) -> Any:
    """vLLM calls it on each layer before it writes another adapter into a slot."""

    def reset(self: Any, index: int) -> None:
        reset_lora(self, index)
        if isinstance(self.lora_b_stacked, OneB):
            self.lora_b_stacked.forget(index)

    return reset


def _update_metadata_then_arrange(update_metadata: Any) -> Any:
    """vLLM calls it before a step whose rows use other adapters, or other slots, than those of the step before."""

    def update(self: Any, mapping: Any, adapters: Sequence[int | None], *args: Any, **kwargs: Any) -> None:
        update_metadata(self, mapping, adapters, *args, **kwargs)
        self.ratchet_batch = arrange(self.token_lora_indices, len(adapters))

    return update


def arrange(slot_by_row: Tensor, slots: int) -> Batch:
    """How to multiply a batch, from the slot of each row, one of so many; -1 is the base model.

    Short runs of few adapters are brought together: copying a row costs less than another product.
    """
    runs = _find_runs(slot_by_row)
    rows = sum(run.rows.stop - run.rows.start for run in runs)
    if len(runs) > 1 and len(slot_by_row) <= FEW_ROWS:
        own = slot_by_row[:, None] == slot_by_row.new_tensor(range(slots))
        return Batch(None, runs, ~own[:, :, None])
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
    self: Any, y: Tensor, x: Tensor, lora_a_stacked: OneA, lora_b_stacked: OneB, scale: float, *_: Any, **__: Any
) -> None:
    """y += scale * x @ A.T @ B.T, with the A and B of each row's slot.

    x: (rows, in), y: (rows, out). The product with A is rounded to the weights' type, as PEFT rounds it; that with B is
    added before it is rounded.
    """
    order, all_runs, others = self.ratchet_batch
    runs = [run for run in all_runs if lora_b_stacked.is_adding(run.slot)]
    if not runs:
        return
    if others is not None and lora_b_stacked.is_finite():
        hidden = x @ lora_a_stacked.together  # (rows, slots * slices * rank)
        hidden.view(*others.shape[:2], -1).masked_fill_(others, 0)
        y.addmm_(hidden, lora_b_stacked.together, alpha=scale)
        return
    x_runs, y_runs = (x, y) if order is None else (x[order], y[order])
    for slot, rows in runs:
        y_runs[rows].addmm_(x_runs[rows] @ lora_a_stacked.each[slot], lora_b_stacked.each[slot], alpha=scale)
    if order is not None:
        y[order] = y_runs
