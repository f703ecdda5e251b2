"""What versions answered, and what the owners of the conversations think of it: what a canary is compared by.

An answer is credited to the version that the engine says wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import FeedbackKind, MessageStatus, Role
from storage.rows import select_all
from storage.tables import feedback, messages, people

SEEN = (MessageStatus.COMPLETE, MessageStatus.INTERRUPTED)  # of what was deleted nothing can be said

version = func.coalesce(messages.c.engine_model, messages.c.adapter).label("version")
by_owner = and_(messages.c.id == feedback.c.message_id, messages.c.person_id == feedback.c.person_id)  # feedback on one's own


class Given(Struct, frozen=True):
    """An answer that somebody was given, and by which version."""

    position: int
    version: str
    person_id: str
    status: MessageStatus
    content: str
    token_ids: tuple[int, ...]
    finish_reason: str | None
    first_token_ms: float | None


class _Thumb(Struct, frozen=True):
    version: str
    person_id: str
    value: object


def newest_thumbs(*where: ColumnElement[bool]) -> Select[tuple[int]]:
    """The places of the newest thumbs that owners gave their answers, of those thumbs and answers that are `where`."""
    thumbs = select(func.max(feedback.c.position)).join(messages, by_owner).where(feedback.c.kind == FeedbackKind.THUMB, *where)
    return thumbs.group_by(feedback.c.message_id)


async def select_given(connection: AsyncConnection, versions: Sequence[str], after: int, limit: int) -> list[Given]:
    """The first `limit` answers of these versions after a message's position, in order."""
    asked = (messages.c.position > after, messages.c.role == Role.ASSISTANT, messages.c.status.in_(SEEN))
    columns = [messages.c[name] for name in Given.__struct_fields__ if name != "version"]
    found = select(version, *columns).where(*asked, version.in_(versions)).order_by(messages.c.position).limit(limit)
    return await select_all(connection, found, Given)


async def select_thumbs(connection: AsyncConnection, versions: Sequence[str], after: int) -> dict[str, dict[str, tuple[int, int]]]:
    """Version → person → how many of their answers after that position they like, out of how many with a thumb.

    The newest thumb of an answer's owner counts, as in `storage.feedback`; one that was taken back is none. People who do
    not let cycles learn from them do not decide here either.
    """
    asked = (messages.c.position > after, messages.c.role == Role.ASSISTANT, messages.c.status == MessageStatus.COMPLETE)
    newest = newest_thumbs(*asked, version.in_(versions))
    thumbs = select(version, messages.c.person_id, feedback.c.value).join(messages, by_owner)
    thumbs = thumbs.join(people, people.c.id == messages.c.person_id)
    found = await select_all(connection, thumbs.where(feedback.c.position.in_(newest), people.c.learn), _Thumb)
    counts: dict[str, dict[str, tuple[int, int]]] = {name: {} for name in versions}
    for thumb in found:
        if (said := msgspec.convert(thumb.value, str | None)) is not None:
            up, given = counts[thumb.version].get(thumb.person_id, (0, 0))
            counts[thumb.version][thumb.person_id] = (up + (said == "up"), given + 1)
    return counts
