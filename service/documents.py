"""`/api/documents` and `/api/imports`: what others wrote, in from files, looked at, and taken back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Stream
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.corpora.files import tell_layout
from learner.corpora.intake import Imported, import_documents
from learner.corpora.spec import FILE, About, Layout, Progress, Unreadable, check_about
from service.data import JSON_LINES, note
from service.errors import problem_of
from service.paging import LIMIT, After, Limit, Page, page
from service.problem import ErrorBody, Problem, envelope
from service.uploads import save
from storage import documents, imports
from storage.database import Database
from storage.documents import SourceCount
from storage.imports import MovedError
from storage.records import Document, DocumentKind, Import

MAX_FILE_BYTES = 64_000_000_000
HEAD_BYTES = 16
DELETED_AT_ONCE = 2_000  # documents in a transaction: other writers wait no longer than for these


class ImportEvent(Struct, frozen=True, omit_defaults=True):
    """A line of the answer to an import: how far it is; the last one says how it went, or why it ended."""

    progress: Progress | None = None
    imported: Imported | None = None
    error: ErrorBody | None = None


class TakenBack(Struct, frozen=True):
    source: str
    documents: int
    imports: int


@post("/documents/import", status_code=200, media_type=JSON_LINES, request_max_body_size=MAX_FILE_BYTES)
async def import_file(
    domain: FromQuery[str],
    language: FromQuery[str],
    source: FromQuery[str],
    licence: FromQuery[str],
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    context: NamedDependency[Context],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
    kind: FromQuery[DocumentKind | None] = None,
    layout: FromQuery[Layout] = Layout.AUTO,
    name: FromQuery[str] = "",
) -> Stream:
    """Takes a file as the body, up to 64 GB; answers with a line of JSON for each step.

    What is found to be wrong before the first step is a problem like any other; later, it is the last line.
    """
    about = About(kind, domain, language, source, licence, layout)
    try:
        check_about(about)
    except ValueError as error:
        raise Problem("invalid_request", str(error)) from error
    folder = await asyncio.to_thread(context.artifacts.temporary_dir)
    try:
        await save(request.stream(), folder / FILE)
        head = await asyncio.to_thread(_head, folder / FILE)
        about = msgspec.structs.replace(about, layout=tell_layout(layout, name, head))
        steps = import_documents(database, context.artifacts, folder, about, clock)
        first = await anext(steps)
    except BaseException as error:
        await _remove(folder)
        if isinstance(error, Exception):
            raise _problem(error, name) from error
        raise

    async def finish(done: Imported) -> None:
        detail = f"{done.records} records: {done.added} documents added, {done.known} known, {done.skipped} skipped"
        await note(database, actor, clock(), "documents.import", source, detail)

    return Stream(_answer(first, steps, folder, name, finish), media_type=JSON_LINES)


async def _answer(
    first: Progress | Imported,
    steps: AsyncGenerator[Progress | Imported, None],
    folder: Path,
    name: str,
    finish: Callable[[Imported], Awaitable[None]],
) -> AsyncIterator[bytes]:
    """The lines. A client that leaves ends the import, which can go on another time."""
    try:
        async with aclosing(steps):
            yield await _line(first, finish)
            async for step in steps:
                yield await _line(step, finish)
    except Exception as error:
        yield _encode(ImportEvent(error=envelope(_problem(error, name)).error))
    finally:
        await _remove(folder)


async def _line(step: Progress | Imported, finish: Callable[[Imported], Awaitable[None]]) -> bytes:
    if isinstance(step, Progress):
        return _encode(ImportEvent(progress=step))
    await finish(step)
    return _encode(ImportEvent(imported=step))


def _encode(event: ImportEvent) -> bytes:
    return msgspec.json.encode(event) + b"\n"


def _problem(error: Exception, name: str) -> Problem:
    match error:
        case Unreadable():
            return Problem("invalid_request", f"{name or 'the file'}: {error}")
        case MovedError():
            return Problem("conflict", str(error))
        case _:
            return problem_of(error)


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(HEAD_BYTES)


async def _remove(folder: Path) -> None:
    """To its end, even where the one who asked is gone."""
    await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, folder))


@get("/documents")
async def list_documents(
    database: NamedDependency[Database],
    kind: FromQuery[DocumentKind | None] = None,
    domain: FromQuery[str | None] = None,
    after: After = None,
    limit: Limit = LIMIT,
) -> Page[Document]:
    """Oldest first."""

    async def select(connection: AsyncConnection) -> list[Document]:
        return await documents.select_documents(connection, kind, limit + 1, after, domain)

    try:
        return page(await database.read(select), limit)
    except LookupError as error:
        raise Problem("not_found", f"there is {error}", "after") from error


@get("/documents/sources")
async def list_sources(database: NamedDependency[Database]) -> list[SourceCount]:
    """What there is, by kind, domain, language, source and licence."""
    return await database.read(documents.count_sources)


@get("/imports")
async def list_imports(database: NamedDependency[Database], limit: Limit = LIMIT) -> list[Import]:
    """Newest first. One without an end was cut off, or is running."""
    return await database.read(lambda connection: imports.select_imports(connection, limit))


@delete("/documents", status_code=200)
async def take_back(
    source: FromQuery[str],
    database: NamedDependency[Database],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
) -> TakenBack:
    """Deletes all that was imported from a source, but nothing that people wrote here; its files may then come in again."""
    forgotten = await database.write(lambda connection: imports.delete_imports(connection, source))
    deleted = 0
    while count := await database.write(lambda connection: documents.delete_documents(connection, source, DELETED_AT_ONCE)):
        deleted += count
    if not deleted and not forgotten:
        raise Problem("not_found", f"no document was imported from the source {source!r}", "source")
    await note(database, actor, clock(), "documents.delete", source, f"{deleted} documents, {forgotten} imports")
    return TakenBack(source, deleted, forgotten)


HANDLERS = [import_file, list_documents, list_sources, list_imports, take_back]
