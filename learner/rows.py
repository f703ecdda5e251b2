"""A dataset as files: one row a line, token ids as the engine saw them, read by the jobs and by nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct


class RowKind(StrEnum):
    THUMB = "thumb"  # an answer and a vote on it
    CORRECTION = "correction"  # an answer, and the better one a person wrote
    PREFERENCE = "preference"  # an answer, and another that was preferred over it
    DEMONSTRATION = "demonstration"  # an answer as it should be, of a document
    SAMPLED = "sampled"  # an answer drawn from the live version, with a reward
    TEXT = "text"  # a piece of a corpus: no prompt, all of it is learnt
    REPLAY = "replay"  # an answer of an earlier cycle, to stay near


class Split(StrEnum):
    TRAIN = "train"
    HELDOUT = "heldout"
    DROPPED = "dropped"


class Row(Struct, frozen=True):
    """One example. `answer_ids` follow `prompt_ids` directly; both are as served, never tokenised anew."""

    id: str  # of the message or document
    person_id: str  # empty where nobody here is behind it
    kind: RowKind
    split: Split
    weight: float
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    label: int = 0  # +1 up, -1 down, 0 where nobody voted
    better_ids: tuple[int, ...] = ()  # the correction or the preferred answer, tokenised, end of turn included
    lesson_from: int = 0  # the first token of the answer that the vote is about; those before it are only its context
    temperature: float = 1.0  # that the answer was drawn at; words that a person wrote count as drawn at 1
    reward: float = 0.0  # of a sampled answer
    logps: tuple[float, ...] = ()  # of a sampled answer's tokens, by the version that gave it
    drawn_by: str = ""  # the version whose answer it is, where it is one that people were given


def write_rows(file: Path, rows: Iterable[Row]) -> None:
    encode = msgspec.json.Encoder().encode
    with file.open("wb") as stream:
        for row in rows:
            stream.write(encode(row) + b"\n")


def read_rows(file: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(Row).decode
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{file.name} line {number} is not a row: {error}") from error


def heldout_votes(file: Path) -> list[Row]:
    """The voted rows of people who never teach: what candidates are judged by."""
    return [row for row in read_rows(file) if row.split is Split.HELDOUT and row.label]
