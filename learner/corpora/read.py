"""Any file to the contents of documents, record by record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from learner.corpora.chatterbot import read_chatterbot
from learner.corpora.html import read_html
from learner.corpora.jsonlines import read_json, read_jsonl
from learner.corpora.pdf import read_pdf
from learner.corpora.prose import read_markdown, read_text
from learner.corpora.shapes import read_record
from learner.corpora.sheets import read_csv, read_parquet
from learner.corpora.spec import Entry, Layout, Line, Skipped, Unreadable
from storage.records import DocumentKind

READERS: dict[Layout, Callable[[Path], Iterator[Entry | Skipped]]] = {
    Layout.TEXT: read_text,
    Layout.MARKDOWN: read_markdown,
    Layout.HTML: read_html,
    Layout.PDF: read_pdf,
    Layout.JSONL: read_jsonl,
    Layout.JSON: read_json,
    Layout.PARQUET: read_parquet,
    Layout.CSV: read_csv,
    Layout.YAML: read_chatterbot,
}
PROSE = (Layout.TEXT, Layout.MARKDOWN, Layout.HTML, Layout.PDF)


class Reading:
    """An unpacked file as it is read. Iterating gives what became of each record, in the file's order, always the same.

    `kind` is that of all its documents: the one given, or that of the first record that could be read.
    Raises `Unreadable`, perhaps after some records, for a file that as a whole cannot be used.
    """

    def __init__(self, file: Path, layout: Layout, kind: DocumentKind | None) -> None:
        self.kind = kind
        self._file, self._layout = file, layout

    def __iter__(self) -> Iterator[Line]:
        if self._layout in PROSE and self.kind not in (None, DocumentKind.CORPUS):
            raise Unreadable(f"layout {self._layout.value} is running text, which is of kind corpus, not {self.kind.value}")
        is_empty = True
        for item in READERS[self._layout](self._file):
            is_empty = False
            yield self._line(item)
        if is_empty:
            raise Unreadable("the file holds no record")

    def _line(self, item: Entry | Skipped) -> Line:
        if isinstance(item, Skipped):
            return Line(item.place, [], item.reason)
        try:
            self.kind, contents = read_record(item.value, self.kind)
        except ValueError as error:
            return Line(item.place, [], str(error))
        return Line(item.place, contents)
