"""`/api/data`: conversations with feedback out and in, as files that other programs write and read."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Stream

from learner.context import Context
from service.problem import Problem
from service.uploads import save
from storage import audit
from storage.database import Database
from storage.interchange.incoming import FileError, Imported, ImportLayout, import_file
from storage.interchange.outgoing import ARRAYS, ExportLayout, export

MAX_IMPORT_BYTES = 256_000_000  # of a file: an array is read into memory whole
JSON, JSON_LINES = "application/json", "application/x-ndjson"


@get("/data/export")
async def export_data(
    layout: FromQuery[ExportLayout],
    database: NamedDependency[Database],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
    everyone: FromQuery[bool] = False,
) -> Stream:
    """One JSON object a line, or an array where the layout is one, sent as it is read; of people who consent, or of `everyone`."""
    whose = "everyone" if everyone else "people who consent"
    await note(database, actor, clock(), "data.export", layout, f"conversations of {whose}")
    return Stream(export(database, layout, everyone=everyone), media_type=JSON if layout in ARRAYS else JSON_LINES)


@post("/data/import", status_code=200, request_max_body_size=MAX_IMPORT_BYTES)
async def import_data(
    layout: FromQuery[ImportLayout],
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    context: NamedDependency[Context],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
) -> Imported:
    """Takes a file as the body, up to 256 MB. Says what is new now, and which records could not be used and why."""
    folder = await asyncio.to_thread(context.artifacts.temporary_dir)
    try:
        file = folder / "import"
        await save(request.stream(), file)
        imported = await import_file(database, file, layout)
    except FileError as error:
        raise Problem("invalid_request", f"{layout}: {error}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)
    detail = f"{imported.added.conversations} conversations, {imported.added.feedback} of feedback, {imported.skipped} skipped"
    await note(database, actor, clock(), "data.import", layout, detail)
    return imported


async def note(database: Database, actor: str, at_s: float, action: str, subject: str, detail: str) -> None:
    """What an operator did, for the audit."""
    await database.write(lambda connection: audit.insert_audit(connection, actor, action, subject, detail, at_s))


HANDLERS = [export_data, import_data]
