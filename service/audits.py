"""`/api/audit`: who did what to what."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from storage import audit
from storage.database import Database
from storage.records import AuditEntry

Listed = Annotated[int, QueryParameter(ge=1, le=1000)]
Before = Annotated[int | None, QueryParameter()]
Kind = Annotated[str, QueryParameter(max_length=100)]


@get("/audit")
async def list_audit(
    database: NamedDependency[Database], limit: Listed = 100, before: Before = None, kind: Kind = ""
) -> list[AuditEntry]:
    """Newest first; `before` is the id that ended the page before, `kind` an action or how some begin, as `canary`."""
    return await database.read(lambda connection: audit.select_audit(connection, limit, before, kind))


@get("/audit/kinds")
async def list_kinds(database: NamedDependency[Database]) -> dict[str, int]:
    """Action → how many entries there are of it, by name."""
    return await database.read(audit.count_actions)


HANDLERS = [list_audit, list_kinds]
