"""Votes and pairs as long as chats are, from instructions as people write them where some lie beside the checkout.

All texts are cut from real prose, or from made-up sentences without it; token ids come from the text, so that who trains on
text and who trains on ids learns from the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from learner.evaluate.suite import load_suites
from learner.rows import Row, RowKind, Split
from service.bench.talk import talk
from service.config import CHECKOUT

PROMPTS = CHECKOUT.parent / "shared" / "data" / "prompts.jsonl"
PROMPT_WORDS = 16  # at most: with a chat template around them, about 40 tokens
ANSWER_TOKENS = (40, 160)  # evenly, so 100 in the mean
MADE_UP = 400  # sentences, where there is no prose
BROKEN = "\N{REPLACEMENT CHARACTER} \n\t"  # at the edge of what is cut between tokens


class Tokenizer(Protocol):
    """As much of `learner.tokens.Tokens` as is needed here."""

    def prompt(self, turns: Sequence[tuple[str, str]]) -> list[int]: ...
    def text(self, text: str) -> list[int]: ...
    def answer(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...


class Prose(Struct, frozen=True):
    """What rows are cut from."""

    prompts: list[str]
    words: list[str]


class _Instruction(Struct, frozen=True):
    prompt: str
    reference: str


def load_prose(file: Path = PROMPTS) -> Prose:
    """Instructions and their answers from a file of them, or as many made-up ones where it is missing."""
    if file.exists():
        found = [msgspec.json.decode(line, type=_Instruction) for line in file.read_bytes().splitlines()]
    else:
        found = [_Instruction(one.question, one.answer) for one in talk(MADE_UP, load_suites())]
    prompts = [" ".join(one.prompt.split()[:PROMPT_WORDS]) for one in found]
    return Prose(prompts, [word for one in found for word in one.reference.split()])


def make_thumbs(count: int, prose: Prose, tokens: Tokenizer, longer: int = 1) -> list[Row]:
    """Votes on so many answers, up and down in turn; each answer `longer` times as long as that of the same row else."""
    return [
        _row(number, RowKind.THUMB, prose, tokens, _answer(number, "", prose, tokens, longer), label=1 - 2 * (number % 2))
        for number in range(count)
    ]


def make_pairs(count: int, prose: Prose, tokens: Tokenizer) -> list[Row]:
    """So many answers, each with one that was preferred over it."""
    return [
        _row(
            number,
            RowKind.PREFERENCE,
            prose,
            tokens,
            _answer(number, "worse", prose, tokens),
            label=-1,
            better_ids=_answer(number, "better", prose, tokens),
        )
        for number in range(count)
    ]


def count_tokens(row: Row) -> int:
    return len(row.prompt_ids) + len(row.answer_ids) + len(row.better_ids)


def _row(number: int, kind: RowKind, prose: Prose, tokens: Tokenizer, answer_ids: tuple[int, ...], **more: object) -> Row:
    prompt_ids = tuple(tokens.prompt([("user", prose.prompts[number % len(prose.prompts)])]))
    bare = Row(f"{kind}-{number}", f"person-{number}", kind, Split.TRAIN, 1.0, prompt_ids, answer_ids)
    return msgspec.structs.replace(bare, **more)


def _answer(number: int, which: str, prose: Prose, tokens: Tokenizer, longer: int = 1) -> tuple[int, ...]:
    chance = random.Random(f"{number}/{which}")
    length = chance.randint(*ANSWER_TOKENS) * longer
    start = chance.randrange(len(prose.words))
    words = [prose.words[(start + at) % len(prose.words)] for at in range(length)]  # a word is a token or more
    text = tokens.decode(tokens.text(" ".join(words))[: length - 1]).strip(BROKEN)
    return tuple(tokens.answer(text))
