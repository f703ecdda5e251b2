"""Files before they are parsed: which layout, unpacked, and in which encoding."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO, BinaryIO

import charset_normalizer

from learner.corpora.spec import Layout, Unreadable

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 18  # from which an encoding is guessed
LINE_CHARS = 1 << 16  # a longer line of text comes in parts
MAX_EXPANSION = 200  # what unpacks to more than this many times its size, and to more than that:
FREE_BYTES = 64_000_000

SUFFIXES = {
    ".txt": Layout.TEXT, ".text": Layout.TEXT, ".md": Layout.MARKDOWN, ".markdown": Layout.MARKDOWN,
    ".html": Layout.HTML, ".htm": Layout.HTML, ".xhtml": Layout.HTML, ".pdf": Layout.PDF,
    ".jsonl": Layout.JSONL, ".ndjson": Layout.JSONL, ".json": Layout.JSON, ".parquet": Layout.PARQUET,
    ".csv": Layout.CSV, ".tsv": Layout.CSV, ".yml": Layout.YAML, ".yaml": Layout.YAML,
}  # fmt: skip
BEGINNINGS = {b"%PDF-": Layout.PDF, b"PAR1": Layout.PARQUET}
PACKED = {b"\x1f\x8b": ("gzip", gzip.GzipFile), b"BZh": ("bzip2", bz2.BZ2File), b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile)}
PACKED_SUFFIXES = (".gz", ".bz2", ".xz")
MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


def tell_layout(layout: Layout, name: str, head: bytes) -> Layout:
    """The layout itself, or for AUTO the one that the file's name or its first bytes tell. Raises `Unreadable`."""
    if layout is not Layout.AUTO:
        return layout
    path = PurePath(name.lower())
    suffix = PurePath(path.stem).suffix if path.suffix in PACKED_SUFFIXES else path.suffix
    by_head = [found for mark, found in BEGINNINGS.items() if head.startswith(mark)]
    found = SUFFIXES.get(suffix) or (by_head[0] if by_head else None)
    if found is None:
        raise Unreadable(f"the name {name!r} does not tell the layout: expected one of {', '.join(SUFFIXES)}, or a layout with it")
    return found


def unpack(file: Path, target: Path) -> Path:
    """The file itself, or `target` with what it unpacks to. Raises `Unreadable` for damage, and for what unpacks to too much."""
    size = file.stat().st_size
    if not size:
        raise Unreadable("the file is empty")
    with file.open("rb") as stream:
        head = stream.read(8)
    for mark, (name, opened) in PACKED.items():
        if head.startswith(mark):
            try:
                with opened(file) as packed, target.open("wb") as out:
                    _copy(packed, out, max(size * MAX_EXPANSION, FREE_BYTES))
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                raise Unreadable(f"the file is damaged: it cannot be unpacked as {name} ({error})") from error
            if not target.stat().st_size:
                raise Unreadable("the file is empty")
            return target
    return file


def _copy(packed: IO[bytes], out: BinaryIO, limit: int) -> None:
    while chunk := packed.read(CHUNK_BYTES):
        out.write(chunk)
        if out.tell() > limit:
            raise Unreadable(f"the file unpacks to more than {limit} bytes, over {MAX_EXPANSION} times its size: expected less")


def read_whole(file: Path, limit: int, what: str) -> bytes:
    """All of it. Raises `Unreadable` where it is longer than is read at once."""
    if (size := file.stat().st_size) > limit:
        raise Unreadable(f"the file has {size} bytes, expected at most {limit} of {what}, which is read whole")
    return file.read_bytes()


def check_text(sample: bytes) -> None:
    """Raises `Unreadable` for what begins like no text: pictures, archives, programs."""
    if b"\0" in sample and not any(sample.startswith(mark) for mark in MARKS):
        raise Unreadable("the file is not text: it holds zero bytes")


def encoding_of(file: Path) -> str:
    """UTF-8 if all of the file is, else by its mark or the most likely one. Raises `Unreadable` for what is not text."""
    with file.open("rb") as stream:
        sample = stream.read(SAMPLE_BYTES)
        check_text(sample)
        for mark, encoding in MARKS.items():
            if sample.startswith(mark):
                return encoding
        stream.seek(0)
        if _is_utf8(stream):
            return "utf-8"
    best = charset_normalizer.from_bytes(sample).best()
    if best is None:
        raise Unreadable("the file is not text in a known encoding: expected UTF-8")
    return best.encoding


def _is_utf8(stream: BinaryIO) -> bool:
    decoder = getincrementaldecoder("utf-8")()
    try:
        while chunk := stream.read(CHUNK_BYTES):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def text_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers and ends; a very long one in parts. Raises `Unreadable` for what is not text."""
    encoding, number = encoding_of(file), 1
    try:
        with file.open(encoding=encoding) as stream:
            while line := stream.readline(LINE_CHARS):
                yield number, line
                number += line.endswith("\n")
    except UnicodeDecodeError as error:
        raise Unreadable(f"line {number} is not text in {encoding}, which the rest looks like: expected UTF-8") from error
