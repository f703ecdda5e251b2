"""What the learner's tests are made of: a model of a few thousand random numbers, rows for it, and a tokenizer by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from learner.config import TrainSettings
from learner.rows import Row, RowKind, Split

RANK = 4
VOCABULARY = 128
SETTINGS = TrainSettings(rank=RANK, learning_rate=1e-2, passes=4, batch_rows=8, threads=1, learn_share=1.0)


def save_model(folder: Path, seed: int) -> Path:
    """A random two-layer Llama as a Hugging Face folder, in bfloat16."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,  # a model with opinions: its answers differ in likelihood
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def thumbs(count: int, seed: int = 0) -> list[Row]:
    """Votes on random answers, up and down in turn."""
    return [_row(f"thumb-{n}", RowKind.THUMB, random.Random(f"{seed}/{n}"), label=1 - 2 * (n % 2)) for n in range(count)]


def corrections(count: int, seed: int = 0) -> list[Row]:
    chances = [random.Random(f"{seed}/better/{n}") for n in range(count)]
    return [
        _row(f"correction-{n}", RowKind.CORRECTION, chance, label=-1, better_ids=_ids(chance, 6))
        for n, chance in enumerate(chances)
    ]


def replays(count: int, seed: int = 0) -> list[Row]:
    return [_row(f"replay-{n}", RowKind.REPLAY, random.Random(f"{seed}/replay/{n}")) for n in range(count)]


def weighed(rows: Sequence[Row], weight: float) -> list[Row]:
    return [msgspec.structs.replace(row, weight=weight) for row in rows]


def _row(id: str, kind: RowKind, chance: random.Random, **more: object) -> Row:
    prompt_ids, answer_ids = _ids(chance, chance.randint(2, 6)), _ids(chance, chance.randint(3, 9))
    bare = Row(id, f"person of {id}", kind, Split.TRAIN, 1.0, prompt_ids, answer_ids)
    return msgspec.structs.replace(bare, **more)


def _ids(chance: random.Random, count: int) -> tuple[int, ...]:
    return tuple(chance.randrange(VOCABULARY) for _ in range(count))


class LetterTokens:
    """A tokenizer without a model: a letter's code is its id, and 0 ends a turn."""

    def prompt(self, turns: Sequence[tuple[str, str]]) -> list[int]:
        return [ord(letter) for role, content in turns for letter in f"<{role}>{content}"]

    def text(self, text: str) -> list[int]:
        return [*map(ord, text)]

    def answer(self, text: str) -> list[int]:
        return [*self.text(text), 0]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))
