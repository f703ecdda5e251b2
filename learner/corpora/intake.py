"""A file into the table of documents: parsed whole by a job of its own, then added batch by batch.

Nothing comes in of a file that as a whole cannot be used. An import that is cut off while it adds goes on from there when
the same file comes again; a document that is there already, from this file or another, is not added twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.corpora.spec import (
    FILE,
    JOB,
    PROGRESS,
    RECORDS,
    RESULT,
    About,
    Job,
    Layout,
    Line,
    Progress,
    Result,
    Skipped,
    Unreadable,
    document_id,
    import_id,
)
from learner.jobs import JobError, run_job
from storage.artifacts import Artifacts
from storage.database import Database
from storage.documents import insert_missing_documents
from storage.imports import advance_import, begin_import, finish_import
from storage.records import Document, DocumentKind, Import

MODULE = "learner.corpora.job"
TIME_LIMIT_S = 2 * 3600  # of the job
BATCH_DOCUMENTS = 200  # in a transaction, about: other writers wait no longer than for these
BATCH_BYTES = 1_000_000
MOST_SKIPPED = 100  # skipped records that are named


class Imported(Struct, frozen=True):
    """How a file came in. `known` documents were there already; `after` records were read by an import that was cut off."""

    id: str
    layout: Layout
    kind: DocumentKind
    records: int
    added: int
    known: int
    skipped: int
    first_skipped: tuple[Skipped, ...]
    after: int = 0


async def import_documents(
    database: Database, artifacts: Artifacts, folder: Path, about: About, clock: Callable[[], float]
) -> AsyncGenerator[Progress | Imported, None]:
    """Brings in the file in the folder; says how far it is, and at last how it went.

    Raises `Unreadable`; `MovedError` where the same file is brought in twice at the same time; and an error of the database
    after what came in before. In each case the same file may be sent again.
    """
    async with aclosing(_parse(folder, Job(about.kind, about.layout))) as parsing:
        async for progress in parsing:
            yield progress
    result = msgspec.json.decode((folder / RESULT).read_bytes(), type=Result)
    if result.problem is not None:
        raise Unreadable(result.problem)
    id = import_id(await asyncio.to_thread(artifacts.sha256_of, folder / FILE), about)
    file = Import(id, about.source, about.layout.value, result.kind, 0, 0, 0, clock())
    begun = await database.write(lambda connection: begin_import(connection, file))
    named: list[Skipped] = []
    batches = _batches(folder / RECORDS, begun.records, named)
    records, added, known = begun.records, 0, 0
    while lines := await asyncio.to_thread(next, batches, None):
        rows = await asyncio.to_thread(_documents, lines, about, result.kind, clock())
        new = await database.write(partial(_add, id=id, after=records, lines=lines, rows=rows))
        records, added, known = records + len(lines), added + new, known + len(rows) - new
        yield Progress("adding", records, result.skipped, added, result.records)
    await database.write(lambda connection: finish_import(connection, id, clock()))
    skipped = (result.skipped, tuple(named))
    yield Imported(id, about.layout, result.kind, result.records, added, known, *skipped, after=begun.records)


async def _parse(folder: Path, job: Job) -> AsyncGenerator[Progress, None]:
    """Runs the job, which ends with this generator however that ends."""
    (folder / JOB).write_bytes(msgspec.json.encode(job))
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    running = asyncio.create_task(run_job(MODULE, folder, folder / PROGRESS, lines.put_nowait, TIME_LIMIT_S))
    running.add_done_callback(lambda _: lines.put_nowait(None))
    try:
        while (line := await lines.get()) is not None:
            yield msgspec.json.decode(line, type=Progress)
        await running
    except JobError as error:
        raise Unreadable(f"the file could not be read to its end ({error})") from error
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, JobError):
            await running


def _batches(file: Path, after: int, named: list[Skipped]) -> Iterator[list[Line]]:
    """The records that follow the first `after`, some at a time. The first that were skipped, of all, go to `named`."""
    decode = msgspec.json.Decoder(Line).decode
    batch: list[Line] = []
    documents = size = 0
    with file.open("rb") as stream:
        for number, data in enumerate(stream):
            line = decode(data)
            if not line.contents and len(named) < MOST_SKIPPED:
                named.append(Skipped(line.place, line.reason))
            if number < after:
                continue
            batch.append(line)
            documents, size = documents + 1 + len(line.contents), size + len(data)
            if documents >= BATCH_DOCUMENTS or size >= BATCH_BYTES:
                yield batch
                batch, documents, size = [], 0, 0
    if batch:
        yield batch


def _documents(lines: list[Line], about: About, kind: DocumentKind, at_s: float) -> list[Document]:
    return [
        Document(
            document_id(kind, about.domain, content),
            kind,
            about.domain,
            about.language,
            about.source,
            about.licence,
            None,
            content,
            at_s,
        )
        for line in lines
        for content in line.contents
    ]


async def _add(connection: AsyncConnection, id: str, after: int, lines: list[Line], rows: list[Document]) -> int:
    """Documents and how far the import is, in one transaction; how many were new."""
    added = await insert_missing_documents(connection, rows)
    await advance_import(connection, id, after, len(lines), added, skipped=sum(not line.contents for line in lines))
    return added
