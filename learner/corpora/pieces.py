"""Long texts into documents: paragraphs, packed in order as long as they fit.

A piece is at most `PIECE_CHARS` long and made of whole paragraphs (what stands between blank lines). Only a paragraph that
alone is longer is broken: at the end of a line, a sentence or a word, in this order of preference. What is in memory does
not grow with the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from io import StringIO

from learner.corpora.spec import PIECE_CHARS, Entry

GAP = "\n\n"
BREAKS = (re.compile(r"\n"), re.compile(r"(?<=[.!?。！？…])\s"), re.compile(r"\s"))

Block = tuple[int, str]  # the number of its first line, and the text


def paragraphs(lines: Iterable[tuple[int, str]]) -> Iterator[Block]:
    """What stands between blank lines, in parts where it is longer than a piece. A long line may come in parts."""
    begun, text = 0, ""
    for number, line in lines:
        if not line.strip() and text.endswith("\n"):
            yield begun, text
            text = ""
            continue
        begun = begun if text.strip() else number
        text = text + line if text.strip() else line
        while len(text) > PIECE_CHARS:
            head, text = _break(text)
            yield begun, head
            begun = number
    yield begun, text


def pack(blocks: Iterable[Block], begins: Callable[[str], bool] = lambda _: False) -> Iterator[Block]:
    """Blocks joined to pieces. One that `begins` something starts a new piece, unless little is in the one before."""
    begun, piece = 0, ""
    for number, raw in blocks:
        block = raw.strip("\n").rstrip()
        if not block.strip():
            continue
        full = len(piece) + len(GAP) + len(block) > PIECE_CHARS or (begins(block) and len(piece) > PIECE_CHARS // 2)
        if piece and full:
            yield begun, piece
            piece = ""
        begun = begun if piece else number
        piece = f"{piece}{GAP}{block}" if piece else block
    if piece:
        yield begun, piece


def split(text: str) -> list[str]:
    """A text as pieces."""
    return [piece for _, piece in pack(paragraphs(enumerate(StringIO(text, newline=None), 1)))]


def entries(pieces: Iterable[Block], unit: str) -> Iterator[Entry]:
    return (Entry(f"{unit} {number}", piece) for number, piece in pieces)


def _break(text: str) -> tuple[str, str]:
    """The text in two: the first part fits a piece, and is at least half as long as one may be."""
    window = text[:PIECE_CHARS]
    for ending in BREAKS:
        ends = [found.end() for found in ending.finditer(window)]
        if ends and ends[-1] > PIECE_CHARS // 2:
            return text[: ends[-1]], text[ends[-1] :]
    return window, text[PIECE_CHARS:]
