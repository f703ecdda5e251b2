"""The search for what should be gone: identifiers of people who are forgotten, in files or tables, wherever they lie.

A receipt keeps hashes only, so every identifier that is found is hashed and looked up. A database file is searched as the
bytes it is, with its log; a tar file also inside, member by member.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from msgspec import Struct
from sqlalchemy import JSON, Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backup import known_backups
from storage.records import Erasure
from storage.rows import select_all
from storage.tables import JsonText, erasures, metadata, people

IDENTIFIER = re.compile(rb"(?:person|conv|msg|chatcmpl|fb)-[0-9a-f]{24}")
LONGEST = len("chatcmpl-") + 24  # bytes of an identifier
CHUNK = 2**20


class Remain(Struct, frozen=True):
    """A place that still names somebody who is forgotten: a file, a member of a tar file, or a table; and how often."""

    place: str
    found: int


class Search(Struct, frozen=True):
    """What a search went through, and what it found."""

    receipts: int
    files: int
    tables: int
    remains: list[Remain]


async def select_marks(connection: AsyncConnection) -> tuple[int, frozenset[str]]:
    """How many receipts there are, and all their marks.

    Somebody who is here was not here when they were forgotten: they have come back, under the name that their key gives
    them, and that name is no longer a trace of what went.
    """
    receipts = await select_all(connection, select(erasures), Erasure)
    marks = {mark for receipt in receipts for mark in receipt.marks}
    back = {_mark(id.encode()) for id in await connection.scalars(select(people.c.id))} if marks else set()
    return len(receipts), frozenset(marks - back)


async def search_tables(connection: AsyncConnection, marks: Collection[str]) -> tuple[int, list[Remain]]:
    """Every text of every table: how many tables, and what was found."""
    remains = []
    for table in metadata.sorted_tables:
        texts = [cast(column, Text) for column in table.columns if isinstance(column.type, Text | JsonText | JSON)]
        rows = await connection.stream(select(*texts))
        found = 0
        async for row in rows:
            text = "\0".join(value or "" for value in row).encode()
            found += sum(_mark(identifier) in marks for identifier in IDENTIFIER.findall(text))
        remains += [Remain(f"table {table.name}", found)] if found else []
    return len(metadata.tables), remains


def search_files(home: Path, marks: Collection[str]) -> tuple[int, list[Remain]]:
    """Every file below the home, and the backups that were written elsewhere; how many, and what was found. Blocks on the disk."""
    files = {path for path in home.rglob("*") if path.is_file()}
    files |= {path for path in (Path(backup.path) for backup in known_backups(home)) if path.is_file()}
    remains = [remain for path in sorted(files) for remain in _search_file(path, marks)]
    return len(files), remains


def _search_file(path: Path, marks: Collection[str]) -> Iterator[Remain]:
    try:
        with path.open("rb") as stream:
            found = _search_stream(stream, marks)
        if found:
            yield Remain(str(path), found)
        if tarfile.is_tarfile(path):
            yield from _search_members(path, marks)
    except FileNotFoundError:
        return  # it was there a moment ago


def _search_members(path: Path, marks: Collection[str]) -> Iterator[Remain]:
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is not None and (found := _search_stream(stream, marks)):
                yield Remain(f"{path}: {member.name}", found)


def _search_stream(stream: IO[bytes], marks: Collection[str]) -> int:
    found, rest = 0, b""
    while chunk := stream.read(CHUNK):
        data, searched = rest + chunk, 0
        for match in IDENTIFIER.finditer(data):
            found += _mark(match.group()) in marks
            searched = match.end()
        rest = data[max(searched, len(data) - LONGEST + 1) :]  # an identifier may go on in the next chunk
    return found


def _mark(identifier: bytes) -> str:
    return hashlib.sha256(identifier).hexdigest()
