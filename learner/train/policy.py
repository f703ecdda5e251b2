"""The model in training: base weights, in what the machine multiplies fastest, with PEFT adapters, run over token ids.

Two adapters are loaded: "default" learns, "reference" is the frozen copy of where it started.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import AutoModelForCausalLM

from learner.machine import Precision, resolve

Text = tuple[Sequence[int], Sequence[int]]  # prompt ids, answer ids


class Policy:
    """A continued adapter and its reference. Trainable weights are float32; products run in `precision`."""

    def __init__(self, model_dir: Path, parent_dir: Path, precision: Precision = "auto") -> None:
        self._dtype = torch.bfloat16 if resolve(precision) == "bfloat16" else torch.float32
        base = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=self._dtype, attn_implementation="eager"
        )  # on short rows faster than sdpa
        base.config.use_cache = False
        self._peft = PeftModel.from_pretrained(base, parent_dir, is_trainable=True)
        self._peft.load_adapter(parent_dir, "reference", is_trainable=False)
        self._peft.set_adapter("default")
        self._peft.eval()  # no dropout anywhere: the same rows give the same loss
        self._causal = self._peft.get_base_model()
        for module in self._peft.modules():
            if isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False  # autocast casts A and B, which are small; PEFT would cast x
        self._open_zero_adapter()

    def parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self._peft.parameters() if parameter.requires_grad]

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, the model is the frozen parent and keeps no gradient."""
        trainable = self.parameters()
        self._peft.set_adapter("reference")
        try:
            with torch.no_grad():
                yield
        finally:
            self._peft.set_adapter("default")
            for parameter in trainable:
                parameter.requires_grad_(True)

    def logits(self, texts: Sequence[Text]) -> tuple[Tensor, Tensor, Tensor]:
        """Runs a batch; gives (logits_TV, tokens_T, rows_T) of the answers' positions, laid end to end.

        The head, most of a small model's cost, runs over answer positions only.
        """
        width = max(len(prompt) + len(answer) for prompt, answer in texts)
        ids = torch.zeros(len(texts), width, dtype=torch.long)
        attended = torch.zeros(len(texts), width, dtype=torch.long)
        rows, positions, tokens = [], [], []
        for row, (prompt, answer) in enumerate(texts):
            length = len(prompt) + len(answer)
            ids[row, :length] = torch.tensor([*prompt, *answer])
            attended[row, :length] = 1
            rows += [row] * len(answer)
            positions += range(len(prompt) - 1, length - 1)
            tokens += answer
        with torch.autocast("cpu", torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            hidden = self._causal.model(input_ids=ids, attention_mask=attended).last_hidden_state
            rows_T = torch.tensor(rows, dtype=torch.long)
            logits_TV = self._causal.lm_head(hidden[rows_T, torch.tensor(positions, dtype=torch.long)])
        return logits_TV, torch.tensor(tokens, dtype=torch.long), rows_T

    def adapter_tensors(self) -> dict[str, Tensor]:
        """The learning adapter, named as PEFT saves it."""
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(self._peft, adapter_name="default", save_embedding_layers=False)
        return {name: tensor.detach().float().contiguous() for name, tensor in state.items()}

    def _open_zero_adapter(self) -> None:
        """Gives A of an all-zero adapter LoRA's usual random start: with A and B both zero nothing could be learnt."""
        generator = torch.Generator().manual_seed(0)
        for name, parameter in self._peft.named_parameters():
            if ".lora_A.default." in name and not parameter.any():
                bound = 1 / parameter.shape[1] ** 0.5  # kaiming_uniform with a = sqrt(5), as PEFT starts A
                with torch.no_grad():
                    parameter.uniform_(-bound, bound, generator=generator)
