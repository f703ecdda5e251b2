"""Sessions of browsers that came in with a key."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Session
from storage.rows import insert, select_one
from storage.tables import sessions


async def insert_session(connection: AsyncConnection, session: Session) -> None:
    """Add a session; those that are over by the time it begins go."""
    await connection.execute(delete(sessions).where(sessions.c.expires_at_s <= session.created_at_s))
    await insert(connection, sessions, [session])


async def select_session(connection: AsyncConnection, sha256: str) -> Session | None:
    """The session whose secret has this SHA-256, whether it is over or not."""
    return await select_one(connection, select(sessions).where(sessions.c.sha256 == sha256), Session)


async def delete_session(connection: AsyncConnection, sha256: str) -> None:
    """Remove a session; one that there is not is gone already."""
    await connection.execute(delete(sessions).where(sessions.c.sha256 == sha256))


async def delete_sessions_of_key(connection: AsyncConnection, key_sha256: str) -> None:
    """Remove all sessions that were opened with a key."""
    await connection.execute(delete(sessions).where(sessions.c.key_sha256 == key_sha256))
