"""What is said about a file that comes in, and the files of the job that reads it. Imported without any parser."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum

import msgspec
from msgspec import Struct

from storage.records import DocumentKind

JOB, FILE, PROGRESS, RECORDS, RESULT = "job.json", "file", "progress.jsonl", "records.jsonl", "result.json"  # in the job's folder

MAX_RECORD_CHARS = 1_000_000  # of one record: a longer text is split, a longer chat or pair is skipped
MAX_LINE_BYTES = 32_000_000  # of JSON lines: a longer one is skipped unread
MAX_WHOLE_BYTES = 256_000_000  # of a JSON array or an HTML page, which are read whole
PIECE_CHARS = 4_000  # a text file becomes documents of at most this length
MAX_MEMORY_BYTES = 4_000_000_000  # of the process that reads
MAX_NAME_CHARS = 200
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # as BCP 47 has them


class Layout(StrEnum):
    """How a file is laid out; any of them may be compressed with gzip, bzip2 or xz."""

    AUTO = "auto"  # told by the file's name, or by how it begins
    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    PDF = "pdf"
    JSONL = "jsonl"
    JSON = "json"  # an array of records, or one record
    PARQUET = "parquet"
    CSV = "csv"  # the first row names the columns; the delimiter is , ; | or a tab
    YAML = "yaml"  # ChatterBot's: `conversations`, a list of lists of turns


class Unreadable(Exception):
    """The file as a whole cannot be used; the message says why and what was expected. Nothing of it comes in."""


class Entry(Struct, frozen=True):
    """A record as its layout has it: text, or an object with named fields."""

    place: str  # where in the file, for people: "line 3"
    value: object


class Skipped(Struct, frozen=True):
    """A record that does not come in."""

    place: str
    reason: str


class About(Struct, frozen=True):
    """What an operator says about a file. Without a kind, its first record that can be read decides."""

    kind: DocumentKind | None
    domain: str
    language: str
    source: str
    licence: str
    layout: Layout  # once it is told, never AUTO


class Line(Struct, frozen=True):
    """What became of one record of the file: the contents of its documents, or the reason why there is none."""

    place: str
    contents: list[object]
    reason: str = ""


class Job(Struct, frozen=True):
    kind: DocumentKind | None
    layout: Layout


class Result(Struct, frozen=True):
    """The last word of a job: a problem with the file as a whole, or how many records it has and of what kind."""

    problem: str | None
    records: int = 0
    skipped: int = 0
    kind: DocumentKind = DocumentKind.CORPUS


class Progress(Struct, frozen=True):
    """How far a file is: `step` is "reading", then "adding", when `of` records are known to be in it."""

    step: str
    records: int
    skipped: int
    added: int = 0
    of: int = 0


def check_about(about: About) -> None:
    """Raises ValueError for what tells nobody anything: an empty or very long name, or a language without a code."""
    for name in ("domain", "source", "licence"):
        value: str = getattr(about, name)
        if not value.strip() or len(value) > MAX_NAME_CHARS or not value.isprintable():
            raise ValueError(f"{name} is {value[:MAX_NAME_CHARS]!r}, expected 1 to {MAX_NAME_CHARS} characters in a line")
    if not LANGUAGE.fullmatch(about.language):
        raise ValueError(f"language is {about.language[:40]!r}, expected a code like en, ru or pt-BR, und where it is unknown")


def import_id(file_sha256: str, about: About) -> str:
    """The same for the same bytes about which the same is said."""
    return hashlib.sha256(file_sha256.encode() + msgspec.json.encode(about)).hexdigest()


def document_id(kind: DocumentKind, domain: str, content: object) -> str:
    """The same for the same content of a kind and domain, wherever it comes from."""
    said = msgspec.json.encode([kind, domain, content], order="deterministic")
    return f"doc-{hashlib.sha256(said).hexdigest()[:24]}"
