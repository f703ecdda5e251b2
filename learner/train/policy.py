"""The model in training: base weights, in what the machine multiplies fastest, with PEFT adapters, run over token ids.

Two adapters are loaded: "default" learns, "reference" is the frozen copy of where it started.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import AutoModelForCausalLM

from learner.machine import Precision
from learner.train.halves import Halves
from learner.train.pack import Packed, Text, pack
from learner.train.place import find_dtype, place

LAYER = re.compile(r"\.layers\.(\d+)\.")
NOTHING = 0  # stands where a token would follow; it is never run


class Policy:
    """A continued adapter and its reference. Trainable weights are float32; products run in `precision`."""

    def __init__(
        self,
        model_dir: Path,
        parent_dir: Path,
        precision: Precision = "auto",
        spread: bool = False,
        learn_share: float = 1.0,
        keep_states_mb: float = 0.0,
        start_dir: Path | None = None,
    ) -> None:
        """What learns starts as the adapter in `start_dir`, or as the parent where that is not given."""
        self._dtype = find_dtype(precision)
        base = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=self._dtype, attn_implementation="eager"
        )  # on short rows faster than sdpa
        base.config.use_cache = False
        self.peft = PeftModel.from_pretrained(base, start_dir or parent_dir, is_trainable=True)
        self.peft.load_adapter(parent_dir, "reference", is_trainable=False)
        self.peft.eval()  # no dropout anywhere: the same rows give the same loss
        self._causal = cast(Any, self.peft.get_base_model())
        for module in self.peft.modules():
            if isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False  # autocast casts A and B, which are small; PEFT would cast x
        layers = len(self._causal.model.layers)
        self._fixed = layers - max(round(layers * learn_share), 1)  # layers, from the bottom, that do not learn
        self.make_learn()
        self._open_zero_adapter()
        self._device = place(self.peft, spread)
        self._halves = Halves.of(self._causal.model, self._fixed, keep_states_mb) if self._fixed and not spread else None

    def parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self.peft.parameters() if parameter.requires_grad]

    def make_learn(self) -> None:
        """Switches to the adapter that learns; of it, the layers that do. PEFT would make all of it learn."""
        self.peft.set_adapter("default")
        for name, parameter in self.peft.named_parameters():
            if ".default." in name:
                parameter.requires_grad_(_layer_of(name) >= self._fixed)

    @property
    def end_token(self) -> int | None:
        """The token that ends a turn, where the model says which."""
        ends = self._causal.generation_config.eos_token_id or self._causal.config.eos_token_id
        end: int | None = ends[0] if isinstance(ends, list) else ends
        return end

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, the model is the frozen parent and keeps no gradient."""
        self.peft.set_adapter("reference")
        try:
            with torch.no_grad():
                yield
        finally:
            self.make_learn()

    @contextmanager
    def base(self) -> Iterator[None]:
        """Inside, the model is base, without an adapter, and keeps no gradient."""
        halves, self._halves = self._halves, None  # what is kept was computed with the parent's lower layers
        try:
            with self.peft.disable_adapter(), torch.no_grad():
                yield
        finally:
            self._halves = halves
            self.make_learn()

    def logits(self, texts: Sequence[Text]) -> tuple[Tensor, Tensor, Tensor]:
        """Runs a batch; gives (logits_TV, tokens_T, texts_T) of the answers' positions, laid end to end.

        A prompt that several answers share is computed once. The head, most of a small model's cost, runs over answer
        positions only.
        """
        packed = self._pack(texts)
        states_TD = self._states(packed)
        with self._autocast():
            return self._causal.lm_head(states_TD), packed.tokens_T, packed.texts_T

    def last_states(self, texts: Sequence[Text]) -> Tensor:
        """The last layer's state after each text's last token, (N, D) in float32."""
        packed = self._pack([(prompt, (*answer, NOTHING)) for prompt, answer in texts])
        last_N = torch.tensor([len(answer) + 1 for _, answer in texts], device=self._device).cumsum(0) - 1
        return self._states(packed)[last_N].float()

    def _pack(self, texts: Sequence[Text]) -> Packed:
        with torch.device("cpu"):  # many small steps
            packed = pack(texts)
        return packed.to(self._device)

    def _states(self, packed: Packed) -> Tensor:
        """The last layer's state where each answer token is predicted, (T, D)."""
        mask, adapter = self._mask(packed.seen_BWW), self.peft.active_adapter
        with self._autocast():
            if self._halves is not None and adapter in ("default", "reference"):
                state_BWD = self._halves.run(packed, mask, keep=adapter == "reference")
            else:
                state_BWD = self._causal.model(
                    input_ids=packed.ids_BW, position_ids=packed.positions_BW, attention_mask=mask
                ).last_hidden_state
        state_TD: Tensor = state_BWD.flatten(0, 1)[packed.at_T]
        return state_TD

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16)

    def _mask(self, seen_BWW: Tensor) -> Tensor:
        """What is added to attention's scores, (B, 1, W, W)."""
        mask = torch.zeros_like(seen_BWW, dtype=self._dtype).masked_fill_(~seen_BWW, torch.finfo(self._dtype).min)
        return mask[:, None]

    def adapter_tensors(self) -> dict[str, Tensor]:
        """The learning adapter, named as PEFT saves it."""
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(self.peft, adapter_name="default", save_embedding_layers=False)
        return {name: tensor.detach().float().contiguous() for name, tensor in state.items()}

    def _open_zero_adapter(self) -> None:
        """Gives A of an all-zero adapter LoRA's usual random start: with A and B both zero nothing could be learnt."""
        generator = torch.Generator().manual_seed(0)
        for name, parameter in self.peft.named_parameters():
            if ".lora_A.default." in name and parameter.requires_grad and not parameter.any():
                bound = 1 / parameter.shape[1] ** 0.5  # kaiming_uniform with a = sqrt(5), as PEFT starts A
                with torch.no_grad():
                    parameter.uniform_(-bound, bound, generator=generator)


def _layer_of(name: str) -> int:
    """The number of the layer that a parameter belongs to, from the bottom."""
    found = LAYER.search(name)
    return int(found[1]) if found else 0
