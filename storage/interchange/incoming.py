"""Import: files of other programs, and our own, into the tables that conversations and feedback always live in.

What comes in belongs to ordinary people and can be read, deleted and forgotten like anything else. A record that cannot be
used is counted and named with its reason; the others come in without it. The same file again adds nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import in_turn
from storage.database import Database
from storage.interchange.keep import Added, RefusedError, keep_talk
from storage.interchange.messages import MessagesLine, read_messages
from storage.interchange.openwebui import Chat, read_chat
from storage.interchange.openwebui_feedback import RatedChat, read_feedback
from storage.interchange.talk import Talk

Record = TypeVar("Record")
Numbered = tuple[int, bytes | Raw]

BATCH = 20  # records in a transaction: other writers wait no longer than for these
MOST_SKIPPED = 100  # skipped records that are named


class ImportLayout(StrEnum):
    OPENWEBUI_CHATS = "openwebui-chats"
    OPENWEBUI_FEEDBACK = "openwebui-feedback"
    MESSAGES = "messages"


class FileError(Exception):
    """The file as a whole is not of its layout: nothing came in."""


class Skipped(Struct, frozen=True):
    """A record that did not come in, counted from 1: of a file of lines, its line."""

    record: int
    reason: str


class Batch(Struct, frozen=True):
    """Records as they were read: the talks with their numbers, and what could not be read."""

    talks: list[tuple[int, Talk]]
    skipped: list[Skipped]

    def __len__(self) -> int:
        return len(self.talks) + len(self.skipped)


class Imported(Struct, frozen=True):
    """How a file came in; rows that were there already are in no number but `records`."""

    records: int = 0
    added: Added = Added()
    skipped: int = 0
    first_skipped: tuple[Skipped, ...] = ()


async def import_file(database: Database, file: Path, layout: ImportLayout) -> Imported:
    """Brings in a file, some records at a time, each batch in one write.

    Raises FileError for a file that cannot be read as one of its layout. An error of the database ends it, with what came
    in before; doing it again is safe.
    """
    records = iter(await asyncio.to_thread(_open(layout), file))
    done = Imported()
    while batch := await asyncio.to_thread(_read_batch, records, READERS[layout]):  # a chat may be long
        added, refused = await database.write(partial(_keep, talks=batch.talks))
        done = _count(done, len(batch), added, [*batch.skipped, *refused])
    return done


def _count(done: Imported, records: int, added: Added, skipped: list[Skipped]) -> Imported:
    named = (*done.first_skipped, *sorted(skipped, key=lambda one: one.record))[:MOST_SKIPPED]
    return Imported(done.records + records, done.added.plus(added), done.skipped + len(skipped), named)


def _reader(kind: type[Record], convert: Callable[[Record], Talk]) -> Callable[[bytes | Raw], Talk]:
    decode = msgspec.json.Decoder(kind).decode
    return lambda record: convert(decode(record))


READERS: dict[ImportLayout, Callable[[bytes | Raw], Talk]] = {
    ImportLayout.OPENWEBUI_CHATS: _reader(Chat, read_chat),
    ImportLayout.OPENWEBUI_FEEDBACK: _reader(RatedChat, read_feedback),
    ImportLayout.MESSAGES: _reader(MessagesLine, read_messages),
}


def _open(layout: ImportLayout) -> Callable[[Path], Iterable[Numbered]]:
    return _read_lines if layout is ImportLayout.MESSAGES else _read_array


def _read_array(file: Path) -> list[Numbered]:
    """The records of a JSON array, or of a single record; each is read no further than to its end."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=list[Raw] | dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(f"the file is not JSON ({error}), expected an array of records") from error
    records = found if isinstance(found, list) else [msgspec.json.encode(found)]
    return list(enumerate(records, 1))


def _read_lines(file: Path) -> Iterator[Numbered]:
    with file.open("rb") as stream:
        yield from ((number, line) for number, line in enumerate(stream, 1) if line.strip())


def _read_batch(records: Iterator[Numbered], read: Callable[[bytes | Raw], Talk]) -> Batch:
    """The next few records; empty at the end."""
    batch = Batch([], [])
    for number, record in islice(records, BATCH):
        try:
            batch.talks.append((number, read(record)))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            batch.skipped.append(Skipped(number, str(error)))
    return batch


async def _keep(connection: AsyncConnection, talks: list[tuple[int, Talk]]) -> tuple[Added, list[Skipped]]:
    await in_turn(connection, "import")  # two services that bring in the same would both add it
    added = Added()
    skipped: list[Skipped] = []
    for number, talk in talks:
        try:
            added = added.plus(await keep_talk(connection, talk))
        except RefusedError as error:
            skipped.append(Skipped(number, str(error)))
    return added, skipped
