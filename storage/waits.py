"""How long votes wait: until a dataset has them to learn from, and until a version that learnt from them answers everybody.

A vote is the newest feedback that an answer's owner had given when the dataset was made. It is counted once on each way: what
was said anew is another vote, a row that is learnt again is not.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.lineage import TAUGHT
from storage.rows import select_number
from storage.tables import adapters, dataset_rows, datasets, feedback, release


class Seen(Struct, frozen=True):
    """What was looked at so far: when the newest dataset was made, and the newest move of the live pointer."""

    dataset_at_s: float
    release_id: int


async def select_seen(connection: AsyncConnection) -> Seen:
    """All that there is by now."""
    newest = (await connection.execute(select(func.max(datasets.c.created_at_s)))).scalar_one()
    return Seen(float(newest or 0.0), await select_number(connection, select(func.max(release.c.id))))


async def select_waits_to_eligible(connection: AsyncConnection, after_s: float) -> list[float]:
    """Seconds from each vote to the first dataset that has it to learn from, of datasets made after that time."""
    votes = _votes(datasets.c.created_at_s > after_s).subquery()
    other, its_rows = datasets.alias("other"), dataset_rows.alias("its_rows")
    before = and_(other.c.created_at_s >= votes.c.given_at_s, other.c.created_at_s < votes.c.made_at_s)
    learnt_before = _has_message(its_rows, votes.c.message_id, its_rows.c.dataset_id == other.c.id, before)
    waits = select(votes.c.made_at_s - votes.c.given_at_s).where(~learnt_before)
    return [float(wait) for wait in (await connection.scalars(waits)).all()]


async def select_waits_to_live(connection: AsyncConnection, after_id: int) -> list[float]:
    """Seconds from each vote to the first time that a version which learnt from it went live, of moves after that one."""
    moves = select(release.c.id, release.c.created_at_s, adapters.c.dataset_id).join(adapters, adapters.c.name == release.c.adapter)
    new, earlier = moves.where(release.c.id > after_id).subquery("new"), moves.subquery("earlier")
    votes = _votes(datasets.c.id.in_(select(new.c.dataset_id))).subquery()
    its_rows, other = dataset_rows.alias("its_rows"), datasets.alias("other")
    before = and_(other.c.id == earlier.c.dataset_id, other.c.created_at_s >= votes.c.given_at_s, earlier.c.id < new.c.id)
    live_before = _has_message(its_rows, votes.c.message_id, its_rows.c.dataset_id == earlier.c.dataset_id, before)
    of_vote = new.c.dataset_id == votes.c.dataset_id
    waits = select(new.c.created_at_s - votes.c.given_at_s).join(votes, of_vote).where(~live_before)
    return [float(wait) for wait in (await connection.scalars(waits)).all()]


def _votes(which: ColumnElement[bool]) -> Select[Any]:
    """The votes in rows that such datasets have to learn from: when each was given, and when the dataset was made."""
    own = and_(
        feedback.c.message_id == dataset_rows.c.message_id,
        feedback.c.person_id == dataset_rows.c.person_id,
        feedback.c.created_at_s <= datasets.c.created_at_s,
    )
    given = func.max(feedback.c.created_at_s).label("given_at_s")
    rows = select(datasets.c.id.label("dataset_id"), datasets.c.created_at_s.label("made_at_s"), dataset_rows.c.message_id, given)
    rows = rows.join(dataset_rows, dataset_rows.c.dataset_id == datasets.c.id).join(feedback, own)
    taught = rows.where(which, dataset_rows.c.split == TAUGHT)
    return taught.group_by(datasets.c.id, datasets.c.created_at_s, dataset_rows.c.message_id)


def _has_message(rows: Any, message_id: ColumnElement[str], *where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(rows.c.message_id == message_id, rows.c.split == TAUGHT, *where)
