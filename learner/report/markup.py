"""The parts that a page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

Row = Sequence[object]


def table(rows: Iterable[Row], head: Row = ()) -> str:
    """A row's first cell is text, the others are set as numbers."""
    titles = "".join(f"<th>{escape(str(title))}</th>" for title in head)
    lines = "".join(f"<tr><td>{escape(str(first))}</td>{''.join(map(_number, rest))}</tr>" for first, *rest in rows)
    return f"<table>{f'<tr>{titles}</tr>' if head else ''}{lines}</table>"


def note(words: str) -> str:
    return f'<p class="note">{escape(words)}</p>'


def folded(title: str, content: str) -> str:
    """What is shown when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _number(value: object) -> str:
    return f'<td class="number">{escape(str(value))}</td>'
