"""Answers that operators look for, with all there is to know of each: what was asked, thought of it, held back, and taught.

What its owner deleted, and whoever was forgotten, is not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, ScalarSelect, Text, and_, func, or_, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.answers import SEEN, by_owner, version
from storage.feedback import Current
from storage.records import Decision, Feedback, FeedbackKind, MessageStatus, Reason, Role
from storage.rows import select_all, select_place
from storage.tables import dataset_rows, feedback, messages, people, reviews

QUESTION = messages.alias("question")


class Wanted(Struct, frozen=True):
    """Which answers; what is unset does not matter."""

    text: str = ""  # in the question or the answer; of A to Z it finds either case
    version: str | None = None  # that wrote it
    thumb: Literal["up", "down", "none"] | None = None  # its owner's, now
    reason: Reason | None = None
    person_id: str | None = None
    since_s: float | None = None  # answered then or later
    until_s: float | None = None  # answered before
    held: bool | None = None  # whether it is held back from learning, and nobody has decided yet
    everyone: bool = False  # also of people who do not let cycles learn from them


class Found(Struct, frozen=True):
    """An answer as it was given."""

    id: str
    conversation_id: str
    person_id: str
    question: str
    content: str
    version: str | None
    status: MessageStatus
    finish_reason: str | None
    created_at_s: float
    first_token_ms: float | None
    latency_ms: float | None
    held_reason: str | None  # why it was held back, if it ever was
    decision: Decision | None  # an operator's, about that


class Lesson(Struct, frozen=True):
    """A row that a dataset had of an answer."""

    message_id: str
    dataset_id: str
    kind: str
    split: str  # train | heldout | dropped
    weight: float
    drop_reason: str | None


async def select_found(connection: AsyncConnection, wanted: Wanted, limit: int, after: str | None = None) -> list[Found]:
    """A page of the answers that are wanted, newest first.

    `after` is the answer that ended the page before; LookupError if there is none of this id.
    """
    where = _conditions(wanted)
    if after is not None:
        ended = select(messages.c.position).where(messages.c.id == after)
        [last] = await select_place(connection, ended, f"message {after!r}")
        where.append(messages.c.position < last)
    own = [messages.c[name] for name in Found.__struct_fields__ if name in messages.c]
    held = (reviews.c.reason.label("held_reason"), reviews.c.decision)
    statement = (
        select(*own, func.coalesce(QUESTION.c.content, "").label("question"), version, *held)
        .join(people, people.c.id == messages.c.person_id)
        .outerjoin(QUESTION, QUESTION.c.id == messages.c.parent_id)
        .outerjoin(reviews, reviews.c.message_id == messages.c.id)
        .where(messages.c.role == Role.ASSISTANT, messages.c.status.in_(SEEN), *where)
    )
    return await select_all(connection, statement.order_by(messages.c.position.desc()).limit(limit), Found)


async def select_opinions(connection: AsyncConnection, message_ids: Sequence[str]) -> Mapping[str, Current]:
    """What the owners of these answers think of them now, by answer; of those they said something about."""
    said = select(feedback).join(messages, by_owner).where(feedback.c.message_id.in_(message_ids))
    current: defaultdict[str, Current] = defaultdict(dict)
    for row in await select_all(connection, said.order_by(feedback.c.position), Feedback):
        current[row.message_id][row.kind] = row
    return current


async def select_lessons(connection: AsyncConnection, message_ids: Sequence[str]) -> Mapping[str, list[Lesson]]:
    """The datasets that have rows of these answers, by answer."""
    rows = select(dataset_rows).where(dataset_rows.c.message_id.in_(message_ids))
    found: defaultdict[str, list[Lesson]] = defaultdict(list)
    for row in await select_all(connection, rows.order_by(dataset_rows.c.dataset_id, dataset_rows.c.number), Lesson):
        found[row.message_id].append(row)
    return found


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [] if wanted.everyone else [people.c.learn.is_(True)]
    if wanted.text:
        inside = [column.icontains(wanted.text, autoescape=True) for column in (messages.c.content, QUESTION.c.content)]
        conditions.append(or_(*inside))
    if wanted.version is not None:
        conditions.append(version == wanted.version)
    if wanted.person_id is not None:
        conditions.append(messages.c.person_id == wanted.person_id)
    if wanted.since_s is not None:
        conditions.append(messages.c.created_at_s >= wanted.since_s)
    if wanted.until_s is not None:
        conditions.append(messages.c.created_at_s < wanted.until_s)
    if wanted.held is not None:
        waits = and_(reviews.c.message_id.is_not(None), reviews.c.decision.is_(None))
        conditions.append(waits if wanted.held else ~waits)
    return [*conditions, *_said(wanted)]


def _said(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.thumb == "none":
        thumb = func.coalesce(type_coerce(_newest(FeedbackKind.THUMB), Text), "null")
        conditions.append(thumb == msgspec.json.encode(None).decode())
    elif wanted.thumb is not None:
        conditions.append(_newest(FeedbackKind.THUMB) == wanted.thumb)
    if wanted.reason is not None:
        reasons = type_coerce(_newest(FeedbackKind.REASON), Text)  # a JSON list of them
        conditions.append(reasons.contains(msgspec.json.encode(wanted.reason).decode(), autoescape=True))
    return conditions


def _newest(kind: FeedbackKind) -> ScalarSelect[Any]:
    """The owner's newest word of this kind about the answer."""
    own = (feedback.c.message_id == messages.c.id, feedback.c.person_id == messages.c.person_id, feedback.c.kind == kind)
    newest = select(feedback.c.value).where(*own).order_by(feedback.c.position.desc()).limit(1)
    return newest.correlate(messages).scalar_subquery()
