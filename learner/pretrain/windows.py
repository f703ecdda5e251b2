"""Documents into windows of one length, so that nothing is padding: laid end to end, cut where a window is full.

A token between two documents says that one has ended (arXiv 2005.14165, appendix B). A window begins with the last token of the one
before it, as context only, so each token of a document is predicted exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from learner.pretrain.spec import Text
from learner.rows import Row, RowKind, Split


def read_texts(file: Path, split: Split) -> Iterator[str]:
    """The documents of one side, in the file's order."""
    decode = msgspec.json.Decoder(Text).decode
    with file.open("rb") as stream:
        for line in stream:
            text = decode(line)
            if text.split is split:
                yield text.text


def make_windows(texts: Iterable[str], encode: Callable[[str], list[int]], end: int, tokens: int, split: Split) -> list[Row]:
    """Rows that predict `tokens` tokens each; the last one what is left. `end` follows every document, and stands first."""
    rows: list[Row] = []
    shared: dict[int, int] = {}  # one object for each number: a corpus has few different ones
    held = [end]
    for text in texts:
        held += (shared.setdefault(id, id) for id in (*encode(text), end))
        while len(held) > tokens + 1:
            rows.append(_row(len(rows), held[: tokens + 1], split))
            held = held[tokens:]
    return [*rows, _row(len(rows), held, split)] if len(held) > 1 else rows


def _row(number: int, ids: list[int], split: Split) -> Row:
    return Row(f"window-{number}", "", RowKind.TEXT, split, 1.0, (), tuple(ids))
