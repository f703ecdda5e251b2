"""JSON: an object a line, or an array of objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Raw

from learner.corpora.files import check_text, read_whole
from learner.corpora.spec import MAX_LINE_BYTES, MAX_WHOLE_BYTES, Entry, Skipped, Unreadable

HEAD_BYTES = 4096
BOM = b"\xef\xbb\xbf"


def read_jsonl(file: Path) -> Iterator[Entry | Skipped]:
    """A record a line, in memory one at a time. Raises `Unreadable` where no line at all is JSON."""
    first_bad: Skipped | None = None
    any_good = False
    with file.open("rb") as stream:
        check_text(stream.read(HEAD_BYTES))
        stream.seek(0)
        for number, line in _lines(stream):
            entry = _decode(f"line {number}", line)
            any_good |= isinstance(entry, Entry)
            first_bad = first_bad or (entry if isinstance(entry, Skipped) else None)
            yield entry
    if first_bad and not any_good:
        raise Unreadable(f"no line of the file is JSON: {first_bad.place} {first_bad.reason}")


def read_json(file: Path) -> Iterator[Entry | Skipped]:
    """The records of an array, or a single one. Raises `Unreadable` for anything else."""
    data = read_whole(file, MAX_WHOLE_BYTES, "a JSON array")
    check_text(data[:HEAD_BYTES])
    try:
        found = msgspec.json.decode(data.removeprefix(BOM), type=list[Raw] | dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the file is not JSON ({_words(error)}): expected an array of records") from error
    records = found if isinstance(found, list) else [msgspec.json.encode(found)]
    for number, record in enumerate(records, 1):
        yield _decode(f"record {number}", bytes(record))


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank, with their numbers; None in place of one that is too long."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif record := (line.removeprefix(BOM) if number == 1 else line).strip():
            yield number, record


def _decode(place: str, record: bytes | None) -> Entry | Skipped:
    if record is None:
        return Skipped(place, f"is longer than {MAX_LINE_BYTES} bytes")
    try:
        return Entry(place, msgspec.json.decode(record))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Skipped(place, f"is not JSON ({_words(error)})")


def _words(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
