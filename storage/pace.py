"""How quickly people were answered of late, by what was noted with each answer."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.answers import SEEN
from storage.records import BROKEN_OFF, Role
from storage.rows import select_all
from storage.tables import messages

NEWEST = 20_000  # messages that are looked at, which bounds what a look costs, however long people have been talking


class Timed(Struct, frozen=True):
    """An answer's times; None where they were not taken, as for what was imported."""

    created_at_s: float
    first_token_ms: float | None
    latency_ms: float | None
    finish_reason: str | None

    @property
    def failed(self) -> bool:
        """Whether the engine broke it off."""
        return self.finish_reason == BROKEN_OFF


async def select_timed(connection: AsyncConnection, since_s: float) -> list[Timed]:
    """The answers that versions gave since then, of the newest `NEWEST` messages, newest first."""
    looked_at = [messages.c[name] for name in ("position", "role", "status", *Timed.__struct_fields__)]
    newest = select(*looked_at).order_by(messages.c.position.desc()).limit(NEWEST).subquery()
    columns = [newest.c[name] for name in Timed.__struct_fields__]
    given = (newest.c.role == Role.ASSISTANT, newest.c.status.in_(SEEN), newest.c.latency_ms.is_not(None))
    recent = select(*columns).where(*given, newest.c.created_at_s >= since_s).order_by(newest.c.position.desc())
    return await select_all(connection, recent, Timed)
