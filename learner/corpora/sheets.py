"""Tables: CSV row by row, Parquet batch by batch. Only the columns that some shape of record knows are kept."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from learner.corpora.files import text_lines
from learner.corpora.shapes import FIELDS
from learner.corpora.spec import MAX_RECORD_CHARS, Entry, Skipped, Unreadable

DELIMITERS = ",;\t|"
BATCH_ROWS = 256


def read_csv(file: Path) -> Iterator[Entry | Skipped]:
    """A row is a record, by the names in the first row. An empty cell is a field that is not there.

    Raises `Unreadable` for columns that nothing is known about, and for a quote that never ends.
    """
    csv.field_size_limit(2 * MAX_RECORD_CHARS)
    lines = (line for _, line in text_lines(file))
    head = next(lines, "")
    delimiter = max(DELIMITERS, key=head.count)
    names = next(csv.reader([head], delimiter=delimiter), [])
    _check_columns([name.strip() for name in names])
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        place = f"row at line {rows.line_num + 2}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise Unreadable(f"the {place} begins a quote that never ends") from error
            yield Skipped(place, f"is not CSV ({error})")
            continue
        if row is None:
            return
        if row:
            yield _entry(place, [name.strip() for name in names], row)


def _entry(place: str, names: list[str], row: list[str]) -> Entry | Skipped:
    if len(row) != len(names):
        return Skipped(place, f"has {len(row)} cells, expected {len(names)}")
    return Entry(place, {name: cell for name, cell in zip(names, row, strict=True) if cell})


def read_parquet(file: Path) -> Iterator[Entry]:
    """A row is a record. Raises `Unreadable` for damage, and for columns that nothing is known about."""
    number = 0
    try:
        with pq.ParquetFile(file) as table:
            names = _check_columns(table.schema_arrow.names)
            for batch in table.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield Entry(f"row {number}", {name: value for name, value in row.items() if value is not None})
    except (pa.ArrowException, OSError) as error:
        words = str(error).strip().splitlines()[0]
        raise Unreadable(f"the file is damaged after row {number}, or no Parquet ({words})") from error


def _check_columns(names: list[str]) -> list[str]:
    """Those of the columns that are known; never none."""
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Unreadable(f"the column {min(twice)!r} is there twice: expected each name once")
    known = [name for name in names if name in FIELDS]
    if not known:
        shown = ", ".join(names[:10])[:200]
        raise Unreadable(f"the columns are {shown!r}, expected some of {', '.join(sorted(FIELDS))}")
    return known
