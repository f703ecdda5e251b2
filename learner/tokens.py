"""Text to token ids, by the served model's own tokenizer and chat template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any


class Tokens:
    """The tokenizer of a model folder; loaded on first use, since loading takes a second."""

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
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._model_dir)
