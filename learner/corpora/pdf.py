"""The text of a PDF, page by page."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from pypdf import PdfReader

from learner.corpora.pieces import split
from learner.corpora.spec import Entry, Skipped, Unreadable

HYPHEN = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_])")  # a word that was broken at the end of a line

logging.getLogger("pypdf").setLevel(logging.ERROR)  # it repairs much, and says so at length


def read_pdf(file: Path) -> Iterator[Entry | Skipped]:
    """A page is a record; one without text is skipped. Raises `Unreadable` for damage, a password, and no text at all."""
    with file.open("rb") as stream:
        try:
            reader = PdfReader(stream)
            is_locked = reader.is_encrypted and not reader.decrypt("")
            pages = 0 if is_locked else len(reader.pages)
        except Exception as error:  # pypdf meets damage with errors of any kind
            raise Unreadable(f"the file is damaged, or no PDF ({error or type(error).__name__})") from error
        if is_locked:
            raise Unreadable("the PDF is encrypted: expected one that opens without a password")
        has_text = False
        for number in range(pages):
            for entry in _read_page(reader, number):
                has_text |= isinstance(entry, Entry)
                yield entry
        if not has_text:
            raise Unreadable(f"no text can be read from the {pages} pages of the PDF: expected text, not pictures of it")


def _read_page(reader: PdfReader, number: int) -> Iterator[Entry | Skipped]:
    place = f"page {number + 1}"
    try:
        text = HYPHEN.sub("", reader.pages[number].extract_text())
    except Exception as error:  # as above
        yield Skipped(place, f"is damaged ({error or type(error).__name__})")
        return
    pieces = split(text)
    if not pieces:
        yield Skipped(place, "holds no text")
    for piece in pieces:
        yield Entry(place, piece.encode(errors="replace").decode())  # broken fonts give halves of characters
