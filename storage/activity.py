"""What people do here, in numbers, for a page of them at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.answers import newest_thumbs
from storage.records import Role
from storage.rows import select_all
from storage.tables import conversations, dataset_rows, feedback, messages

TRAIN = "train"


class Activity(Struct, frozen=True):
    """Of one person. `weight` is the mean weight of their rows that were trained on, None where there are none."""

    conversations: int = 0
    answers: int = 0  # they were given
    up: int = 0  # their newest thumbs
    down: int = 0
    taught: int = 0  # rows of datasets that were trained on
    weight: float | None = None
    seen_at_s: float | None = None  # when they last said something


class _Thumb(Struct, frozen=True):
    person_id: str
    value: object


async def select_activity(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Activity]:
    """Of each of these people, also of those who never did anything."""
    talks = await _by_person(connection, conversations.c.person_id, ids, func.count(), func.max(conversations.c.updated_at_s))
    answers = await _by_person(connection, messages.c.person_id, ids, func.count(), where=messages.c.role == Role.ASSISTANT)
    rows = await _by_person(
        connection,
        dataset_rows.c.person_id,
        ids,
        func.count(),
        func.avg(dataset_rows.c.weight),
        where=dataset_rows.c.split == TRAIN,
    )
    thumbs = await _count_thumbs(connection, ids)
    return {
        id: Activity(
            conversations=talks[id][0] if id in talks else 0,
            answers=answers[id][0] if id in answers else 0,
            up=thumbs[id, "up"],
            down=thumbs[id, "down"],
            taught=rows[id][0] if id in rows else 0,
            weight=float(rows[id][1]) if id in rows else None,
            seen_at_s=talks[id][1] if id in talks else None,
        )
        for id in ids
    }


async def _by_person(
    connection: AsyncConnection,
    person: ColumnElement[str],
    ids: Sequence[str],
    *figures: ColumnElement[Any],
    where: ColumnElement[bool] | None = None,
) -> dict[str, tuple[Any, ...]]:
    statement: Select[Any] = select(person, *figures).where(person.in_(ids)).group_by(person)
    found = await connection.execute(statement if where is None else statement.where(where))
    return {id: tuple(values) for id, *values in found}


async def _count_thumbs(connection: AsyncConnection, ids: Sequence[str]) -> Counter[tuple[str, str]]:
    """(person, up or down) → how many of their own answers have that as their newest thumb."""
    newest = newest_thumbs(feedback.c.person_id.in_(ids))
    thumbs = select(feedback.c.person_id, feedback.c.value).where(feedback.c.position.in_(newest))
    found = await select_all(connection, thumbs, _Thumb)
    return Counter((thumb.person_id, said) for thumb in found if (said := msgspec.convert(thumb.value, str | None)) is not None)
