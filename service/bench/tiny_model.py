"""A model of random numbers with a tokenizer of bytes: to see that a benchmark works, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

END, START = "<|im_end|>", "<|im_start|>"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LONGEST = 2048  # tokens


def make_tiny_model(folder: Path) -> Path:
    """Writes a Hugging Face folder, the same each time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = _save_tokenizer(folder)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,  # the smallest that vLLM has on the CPU
        max_position_embeddings=LONGEST,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make_model: Any = LlamaForCausalLM
        model = make_model(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def _save_tokenizer(folder: Path) -> int:
    """Gives the size of the vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [START, END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    plain = Tokenizer(models.BPE(vocab={letter: id for id, letter in enumerate(letters)}, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=plain, bos_token=START, eos_token=END, pad_token=END)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return len(letters)
