"""The audit log: who did what to what, only ever added to."""

from __future__ import annotations

from sqlalchemy import select
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


async def select_audit(connection: AsyncConnection, limit: int) -> list[AuditEntry]:
    """The newest `limit` entries, newest first."""
    return await select_all(connection, select(audit).order_by(audit.c.id.desc()).limit(limit), AuditEntry)
