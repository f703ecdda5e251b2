"""Text to token ids, by the served model's own tokenizer and chat template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct


class Tokens:
    """The tokenizer of a model folder; loaded on first use, since loading takes a second or more."""

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir

    def prompt(self, turns: Sequence[tuple[str, str]]) -> list[int]:
        """Token ids of a conversation of (role, content), up to where the assistant's answer begins."""
        messages = [{"role": role, "content": content} for role, content in turns]
        return list(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))

    def text(self, text: str) -> list[int]:
        """Token ids of plain text, with nothing added."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer(self, text: str) -> list[int]:
        """Token ids of a whole answer, its end of turn included: what the model should have said."""
        return [*self.text(text), self._tokenizer.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these tokens, special ones as they are written in the template."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._model_dir)


def load_tokenizer(model_dir: Path) -> Any:
    """The tokenizer that `AutoTokenizer` finds in the folder, as vLLM does.

    Of a Llama whose `tokenizer.json` says all, as the built-in model and those made here are, it is known which that is, and
    asked for by name: `AutoTokenizer` would import PyTorch and all models there are first, which takes five times as long.
    """
    try:
        family = msgspec.json.decode((model_dir / "config.json").read_bytes(), type=_Family)
        kind = msgspec.json.decode((model_dir / "tokenizer_config.json").read_bytes(), type=_Kind)
    except OSError:
        family, kind = _Family(), _Kind()
    if (family.model_type, kind.tokenizer_class) == ("llama", "TokenizersBackend"):
        from transformers import TokenizersBackend as Tokenizer
    else:
        from transformers import AutoTokenizer as Tokenizer
    return Tokenizer.from_pretrained(model_dir)


class _Family(Struct, frozen=True):
    model_type: str = ""


class _Kind(Struct, frozen=True):
    tokenizer_class: str = ""
