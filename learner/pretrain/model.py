"""A base model in training: all its weights, in float32; products run in what the machine multiplies fastest.

It is written as safetensors, in the number type it is served in, and read back before it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from learner.adapter import AdapterError, expected_shapes
from learner.machine import Precision, resolve
from learner.pretrain.spec import PretrainError, Scratch
from learner.pretrain.tokenizer import end_of_text
from learner.tokens import load_tokenizer
from learner.train.pack import Text

SERVED = torch.bfloat16  # what new models are written in


class WholeModel:
    """What the loop and the lesson need of a model, where everything in it learns."""

    def __init__(self, causal: PreTrainedModel, precision: Precision = "auto") -> None:
        causal.config.use_cache = False
        self.causal = causal.eval()  # no dropout: the same windows give the same loss
        self._bfloat16 = resolve(precision) == "bfloat16"

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self.causal.parameters())

    def logits(self, texts: Sequence[Text]) -> tuple[Tensor, Tensor, Tensor]:
        """(logits_TV, tokens_T, texts_T) of the answers' positions, laid end to end. Windows have one length: what is
        shorter is padded on the right, where causal attention never looks."""
        width = max(len(prompt) + len(answer) for prompt, answer in texts) - 1  # nothing follows a last token
        ids_BW = torch.zeros(len(texts), width, dtype=torch.long)
        at, tokens, whose = [], [], []
        for text, (prompt, answer) in enumerate(texts):
            ids = [*prompt, *answer[:-1]]
            ids_BW[text, : len(ids)] = torch.tensor(ids)
            at += range(text * width + len(prompt) - 1, text * width + len(ids))
            tokens += answer
            whose += [text] * len(answer)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            hidden_BWD = self.causal.model(input_ids=ids_BW).last_hidden_state
            logits_TV = self.causal.lm_head(hidden_BWD.flatten(0, 1)[torch.tensor(at)])
        return logits_TV, torch.tensor(tokens), torch.tensor(whose)


def read_model(folder: Path) -> tuple[PreTrainedModel, torch.dtype]:
    """The weights of a model folder in float32, and the type they are kept in."""
    kept = AutoConfig.from_pretrained(folder).dtype or SERVED
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), kept


def new_model(shape: Scratch, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """A Llama of random weights: the same for the same shape, vocabulary and seed."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=shape.tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def write_model(causal: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, kept: torch.dtype, folder: Path) -> None:
    """A model folder as vLLM and PEFT read it. The model is of type `kept` afterwards."""
    causal.config.use_cache = True
    causal.to(kept).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def check_model(folder: Path) -> PreTrainedModel:
    """Reads a written model back, in float32. Raises `PretrainError` where it is not whole, finite, and fit for adapters."""
    try:
        expected_shapes(folder, rank=1)
        causal, told = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    except (AdapterError, OSError, RuntimeError, ValueError) as error:
        raise PretrainError(f"the new model cannot be read back: {error}") from error
    if odd := [name for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in told[kind]]:
        raise PretrainError(f"the new model has {len(odd)} weights that are missing, unexpected or misshapen, first {odd[0]!r}")
    for name, weights in causal.named_parameters():
        if not torch.isfinite(weights).all():
            raise PretrainError(f"the new model's {name} has values that are not finite numbers")
    tokenizer = load_tokenizer(folder)
    if len(tokenizer) > causal.config.vocab_size or end_of_text(tokenizer) >= causal.config.vocab_size:
        raise PretrainError(f"the tokenizer has {len(tokenizer)} tokens, the new model {causal.config.vocab_size}")
    return causal  # type: ignore[no-any-return]
