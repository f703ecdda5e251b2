"""Thumbs up and down of each version, day by day: what its answers were worth to those who got them.

An answer is credited to the version that the engine says wrote it. As for canaries, the newest thumb of its owner counts,
one that was taken back is none, and people who do not let cycles learn from them are left out.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.answers import by_owner, newest_thumbs, version
from storage.records import MessageStatus, Role
from storage.rows import select_all
from storage.tables import feedback, messages, people


class DayVotes(Struct, frozen=True):
    """The thumbs that a version's answers were given on one day."""

    adapter: str
    day: str  # ISO date, UTC
    up: int
    down: int


class _Thumb(Struct, frozen=True):
    version: str
    value: object
    created_at_s: float


async def select_day_votes(connection: AsyncConnection, since_s: float) -> list[DayVotes]:
    """The thumbs given since then, by day and then by version; a day without a thumb is left out."""
    answered = (messages.c.role == Role.ASSISTANT, messages.c.status == MessageStatus.COMPLETE, version.is_not(None))
    newest = newest_thumbs(feedback.c.created_at_s >= since_s, *answered)
    thumbs = select(version, feedback.c.value, feedback.c.created_at_s).join(messages, by_owner)
    thumbs = thumbs.join(people, people.c.id == messages.c.person_id)
    found = await select_all(connection, thumbs.where(feedback.c.position.in_(newest), people.c.learn), _Thumb)
    counts: dict[tuple[str, str], Counter[str]] = {}
    for thumb in found:
        if (said := msgspec.convert(thumb.value, str | None)) is not None:
            counts.setdefault((_day(thumb.created_at_s), thumb.version), Counter())[said] += 1
    return [DayVotes(adapter, day, count["up"], count["down"]) for (day, adapter), count in sorted(counts.items())]


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).date().isoformat()
