"""A vLLM plugin that makes LoRA on the CPU fast, and leaves tokens without an adapter alone.

vLLM's own CPU wrapper gathers a full copy of A and B for every token, and gives tokens of the base model
(slot -1) the weights of the last slot. Here each layer runs one pair of matrix products per distinct
adapter in the batch. vLLM loads the plugin by its entry point `vllm.general_plugins` in every process.
"""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("vllm.ratchet")

KNOWN_VERSIONS = ("0.32",)


def register() -> None:
    """Replace the linear LoRA operation of vLLM's CPU wrapper; do nothing on a version not known to fit."""
    import vllm

    if not vllm.__version__.startswith(KNOWN_VERSIONS):
        logger.warning("vLLM %s is not one of %s: its own CPU LoRA stays in use", vllm.__version__, ", ".join(KNOWN_VERSIONS))
        return
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    wrapper: Any = PunicaWrapperCPU
    wrapper.update_metadata = _update_metadata_then_group(wrapper.update_metadata)
    wrapper.add_lora_linear = _add_lora_linear


def _update_metadata_then_group(update_metadata: Any) -> Any:
    def update(self: Any, *args: Any, **kwargs: Any) -> None:
        update_metadata(self, *args, **kwargs)
        self.ratchet_groups = _group_by_slot(self.token_lora_indices)

    return update


def _group_by_slot(slot_by_token: Any) -> list[tuple[int, Any]]:
    """Slots in the batch with the rows that use each; rows is None where one slot has the whole batch."""
    slots = slot_by_token.unique().tolist()
    if len(slots) == 1:
        return [(slots[0], None)] if slots[0] >= 0 else []
    return [(slot, (slot_by_token == slot).nonzero().squeeze(1)) for slot in slots if slot >= 0]


def _add_lora_linear(
    self: Any,
    y: Any,
    x: Any,
    lora_a_stacked: tuple[Any, ...],
    lora_b_stacked: tuple[Any, ...],
    scale: float,
    output_slices: tuple[int, ...],
    **_: Any,
) -> None:
    """y[:, slice] += scale * x @ A.T @ B.T for each slice, with the A and B of each token's slot.

    x: (tokens, in), y: (tokens, out), A: (slots, 1, rank, in), B: (slots, 1, slice, rank).
    """
    y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
    for slot, rows in self.ratchet_groups:
        x_slot = x if rows is None else x[rows]
        start = 0
        for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
            hidden = x_slot @ a[slot, 0].T
            if rows is None:
                y[: x.shape[0], start : start + width].addmm_(hidden, b[slot, 0].T, alpha=scale)
            else:
                y[rows, start : start + width] += scale * (hidden @ b[slot, 0].T)
            start += width
