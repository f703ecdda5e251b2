"""The parts that a page is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from html import escape
from itertools import zip_longest
from typing import NamedTuple

Row = Sequence[object]

# What a browser may load for it: nothing. The styles are its own, and those in the plots.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
CODE = re.compile(r"`([^`]+)`")
NUMBER = re.compile(r"[-+]?[\d.,]*(e[-+]\d+)?(\s?(%|s|h|с|ч))?")  # a percentage or a time too, and nothing


class Section(NamedTuple):
    """One heading of the page, and what stands below it. `id` is where the contents lead."""

    id: str
    title: str
    content: str

    def html(self) -> str:
        return f'<section aria-labelledby="{self.id}"><h2 id="{self.id}">{escape(self.title)}</h2>{self.content}</section>'


def table(caption: str, rows: Iterable[Row], head: Row = ()) -> str:
    """A row's first cell names it. A column of nothing but numbers is set as one."""
    lines = [[str(cell) for cell in row] for row in rows]
    kinds = ["number" if all(map(NUMBER.fullmatch, column)) else "words" for column in zip_longest(*lines, fillvalue="")]
    titles = "".join(
        f'<th scope="col" class="{kind}">{escape(str(title))}</th>' for title, kind in zip_longest(head, kinds, fillvalue="words")
    )
    above = f"<thead><tr>{titles}</tr></thead>" if head else ""
    body = "".join(map(partial(_line, kinds=kinds), lines))
    inside = f"<table><caption>{escape(caption)}</caption>{above}<tbody>{body}</tbody></table>"
    return f'<div class="wide" role="group" tabindex="0" aria-label="{escape(caption)}">{inside}</div>'


def picture(svg: str, alt: str) -> str:
    """A plot with what it shows in words, for who does not see it."""
    named = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)
    return f'<figure class="wide" tabindex="0">{named}</figure>'


def note(words: str) -> str:
    """What stands between backticks is code."""
    told = CODE.sub(r"<code>\1</code>", escape(words))
    return f'<p class="note">{told}</p>'


def heading(words: str) -> str:
    return f"<h3>{escape(words)}</h3>"


def folded(title: str, content: str) -> str:
    """What is shown when its title is clicked, and on paper."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _line(cells: Sequence[str], kinds: Sequence[str]) -> str:
    first, *rest = cells
    told = "".join(f'<td class="{kind}">{escape(cell)}</td>' for cell, kind in zip(rest, kinds[1:], strict=False))
    return f'<tr><th scope="row">{escape(first)}</th>{told}</tr>'
