"""A decoder as two halves: the layers that do not learn, which give the same states in every pass, and those that do.

Where only the upper layers learn, nothing flows back through the lower ones, and what they give for a text is computed once,
with the reference, and kept. With three passes over half of the layers a run takes little more than half of the work.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from learner.train.pack import Packed, Tree

TOLERANCE = 1e-3  # relative, of states run in two halves against the whole; rounding is far below


class Halves:
    """Two views of one model's weights. States that are kept take `limit_mb` at most; what is beyond is computed each time."""

    def __init__(self, decoder: Any, lower: int, limit_mb: float) -> None:
        self._lower, self._upper = _view(decoder, decoder.layers[:lower], nn.Identity()), _view(decoder, decoder.layers[lower:])
        self._kept: dict[Tree, Tensor] = {}
        self._room = limit_mb * 2**20

    @classmethod
    def of(cls, decoder: Any, lower: int, limit_mb: float) -> Halves | None:
        """None for a decoder that does not give by halves what it gives as a whole: not every architecture is a plain stack."""
        try:
            halves = cls(decoder, lower, limit_mb)
            ids = torch.arange(1, 9, device=decoder.device)[None]
            with torch.no_grad():
                whole = decoder(input_ids=ids).last_hidden_state
                found = halves._upper(inputs_embeds=halves._lower(input_ids=ids).last_hidden_state).last_hidden_state
        except (AttributeError, TypeError, ValueError, RuntimeError):
            return None
        return halves if torch.allclose(found, whole, rtol=TOLERANCE, atol=TOLERANCE * float(whole.abs().max())) else None

    def run(self, packed: Packed, mask: Tensor, keep: bool) -> Tensor:
        """The last layer's states, (B, W, D). With `keep`, those between the halves are kept by tree."""
        middle_BWD = self._recall(packed)
        if middle_BWD is None:
            with torch.no_grad():
                middle_BWD = self._lower(
                    input_ids=packed.ids_BW, position_ids=packed.positions_BW, attention_mask=mask
                ).last_hidden_state
            if keep:
                self._keep(packed, middle_BWD)
        states_BWD: Tensor = self._upper(
            inputs_embeds=middle_BWD, position_ids=packed.positions_BW, attention_mask=mask
        ).last_hidden_state
        return states_BWD

    def _recall(self, packed: Packed) -> Tensor | None:
        """The states between the halves, where those of all trees are kept."""
        found = [self._kept.get(placed.tree) for placed in packed.trees]
        pieces = [piece for piece in found if piece is not None]
        if not pieces or len(pieces) < len(found):
            return None
        middle_BWD = pieces[0].new_zeros(*packed.ids_BW.shape, pieces[0].shape[1])
        for placed, piece in zip(packed.trees, pieces, strict=True):
            middle_BWD[placed.bin, placed.at_K] = piece
        return middle_BWD

    def _keep(self, packed: Packed, middle_BWD: Tensor) -> None:
        for placed in packed.trees:
            piece = middle_BWD[placed.bin, placed.at_K]
            size = piece.numel() * piece.element_size()
            if placed.tree not in self._kept and size <= self._room:
                self._kept[placed.tree] = piece
                self._room -= size


def _view(decoder: Any, layers: nn.ModuleList, norm: nn.Module | None = None) -> Any:
    """The decoder with these layers alone: another module, of the same weights."""
    view = copy.copy(decoder)
    view._modules = {**decoder._modules, "layers": layers, **({"norm": norm} if norm else {})}
    view.config = copy.copy(decoder.config)
    view.config.num_hidden_layers = len(layers)
    return view
