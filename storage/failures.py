"""Answers that never came: the engine failed before a first word of theirs, so there is no message to keep.

Only who asked, which version, and when: they are counted against a version while it is compared with another, and go when
nothing is compared any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Failure
from storage.rows import insert, select_all
from storage.tables import failures


class _Count(Struct, frozen=True):
    adapter: str
    person_id: str
    failed: int


async def insert_failure(connection: AsyncConnection, failure: Failure) -> None:
    """Add one; IntegrityError if the person or the version is unknown."""
    await insert(connection, failures, [failure])


async def count_failures(connection: AsyncConnection, versions: Sequence[str], since_s: float) -> dict[str, dict[str, int]]:
    """Version → person → how many answers these versions failed to give them since that time."""
    columns = (failures.c.adapter, failures.c.person_id)
    since = (failures.c.adapter.in_(versions), failures.c.created_at_s >= since_s)
    asked = select(*columns, func.count().label("failed")).where(*since)
    counts: dict[str, dict[str, int]] = {version: {} for version in versions}
    for count in await select_all(connection, asked.group_by(*columns), _Count):
        counts[count.adapter][count.person_id] = count.failed
    return counts


async def delete_failures(connection: AsyncConnection) -> None:
    """Forget all of them."""
    await connection.execute(delete(failures))
