"""Plain text and Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from learner.corpora.files import text_lines
from learner.corpora.pieces import GAP, Block, entries, pack, paragraphs
from learner.corpora.spec import PIECE_CHARS, Entry, Unreadable

FRONT_MATTER = {"---\n": ("---", "..."), "+++\n": ("+++",)}  # first line → lines that end it
MAX_FRONT_LINES = 500
HEADING = re.compile(r"#{1,6} ")
FENCE = re.compile(r" {0,3}(```+|~~~+)")


def read_text(file: Path) -> Iterator[Entry]:
    """Documents of whole paragraphs, see `learner.corpora.pieces`. Raises `Unreadable`."""
    return _some(entries(pack(paragraphs(text_lines(file))), "line"))


def read_markdown(file: Path) -> Iterator[Entry]:
    """As it is but its front matter, split before headings where it is long. Raises `Unreadable`."""
    blocks = _with_headings(paragraphs(_fences_whole(_without_front_matter(text_lines(file)))))
    return _some(entries(pack(blocks, begins=lambda block: bool(HEADING.match(block))), "line"))


def _some(found: Iterator[Entry]) -> Iterator[Entry]:
    first = next(found, None)
    if first is None:
        raise Unreadable("the file holds nothing but white space")
    yield first
    yield from found


def _without_front_matter(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """What follows the front matter; everything where it does not end."""
    held: list[tuple[int, str]] = []
    ends: tuple[str, ...] | None = None
    for number, line in lines:
        if number == 1 and not held:
            ends = FRONT_MATTER.get(line)
        if ends is None:
            yield number, line
            continue
        held.append((number, line))
        if len(held) > 1 and line.rstrip() in ends:
            held, ends = [], None
        elif len(held) > MAX_FRONT_LINES:
            yield from held
            held, ends = [], None
    yield from held


def _fences_whole(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines in which a fenced block of code is one, as long as it fits a piece: no blank line in it ends a paragraph."""
    begun, code, fence = 0, "", ""
    for number, line in lines:
        found = FENCE.match(line)
        if not fence and not found:
            yield number, line
            continue
        begun, code = begun if code else number, code + line
        if not fence and found:
            fence = found[1]
        elif found and found[1].startswith(fence) and not line[found.end() :].strip():
            fence = ""
        if not fence or len(code) > PIECE_CHARS:
            yield begun, code
            code = ""
    if code:
        yield begun, code


def _with_headings(blocks: Iterable[Block]) -> Iterator[Block]:
    """A heading that stands alone goes with what follows, never to the end of the piece before."""
    begun, heading = 0, ""
    for number, block in blocks:
        text = f"{heading}{GAP}{block}" if heading else block
        begun = begun if heading else number
        if HEADING.match(block) and "\n" not in block.strip():
            heading = text.rstrip()
            continue
        heading = ""
        yield begun, text
    if heading:
        yield begun, heading
