"""The audit log: who did what to what, only ever added to."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import AuditEntry
from storage.rows import insert_numbered, select_all
from storage.tables import audit


async def insert_audit(
    connection: AsyncConnection, actor: str, action: str, subject: str, detail: str, created_at_s: float
) -> AuditEntry:
    """Add an entry, with an id above all before it."""
    values = {"actor": actor, "action": action, "subject": subject, "detail": detail, "created_at_s": created_at_s}
    number = await insert_numbered(connection, audit, values)
    return AuditEntry(number, actor, action, subject, detail, created_at_s)


async def select_audit(connection: AsyncConnection, limit: int, before: int | None = None, kind: str = "") -> list[AuditEntry]:
    """The newest `limit` entries, newest first, of those before the entry `before` and whose actions begin with `kind`."""
    statement = select(audit)
    if before is not None:
        statement = statement.where(audit.c.id < before)
    if kind:
        statement = statement.where(audit.c.action.startswith(kind, autoescape=True))
    return await select_all(connection, statement.order_by(audit.c.id.desc()).limit(limit), AuditEntry)


async def count_actions(connection: AsyncConnection) -> dict[str, int]:
    """Action → how many entries there are of it, by name."""
    counts = select(audit.c.action, func.count()).group_by(audit.c.action).order_by(audit.c.action)
    return {str(action): int(number) for action, number in await connection.execute(counts)}
