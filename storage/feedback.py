"""What people said about answers, and the evidence a cycle learns from.

Feedback rows are never changed, so `position` grows with every one: it is the watermark up to which cycles have read.
Only what the owner of a conversation said about a complete answer is evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Select, Subquery, and_, bindparam, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import in_turn
from storage.conversations import select_threads
from storage.records import Evidence, Feedback, FeedbackKind, Message, MessageStatus, Reason, Role
from storage.rows import insert, select_all, select_number, select_place
from storage.tables import feedback, messages, people

Current = dict[FeedbackKind, Feedback]

SAID_BY = feedback.c.person_id == bindparam("person_id")
SUBMITTED = select(feedback).where(SAID_BY, feedback.c.submission_id == bindparam("submission_id")).order_by(feedback.c.position)


class EvidenceCount(Struct, frozen=True):
    """How much there is to learn from; each number but `people` counts answers."""

    rows: int
    people: int
    up: int
    down: int
    corrections: int


class Touched(Struct, frozen=True):
    """An answer with its owner and the position of the newest feedback the owner gave it."""

    message_id: str
    person_id: str
    position: int


async def insert_feedback(connection: AsyncConnection, rows: Sequence[Feedback]) -> None:
    """Add rows, in order; IntegrityError if an id is taken, or a message or person unknown."""
    await in_turn(connection, "feedback")  # positions must become visible in their order, or a watermark would skip some
    await insert(connection, feedback, rows)


async def select_submission(connection: AsyncConnection, person_id: str, submission_id: str) -> list[Feedback]:
    """The rows of one of this person's submissions, in order; empty if it was never made."""
    return await select_all(connection, SUBMITTED, Feedback, person_id=person_id, submission_id=submission_id)


async def select_current(connection: AsyncConnection, message_id: str, person_id: str) -> Current:
    """What this person thinks of this message now: the newest row of each kind."""
    said = (feedback.c.message_id == message_id, feedback.c.person_id == person_id)
    rows = await select_all(connection, select(feedback).where(*said).order_by(feedback.c.position), Feedback)
    return {row.kind: row for row in rows}


async def select_current_by_message(connection: AsyncConnection, conversation_id: str, person_id: str) -> Mapping[str, Current]:
    """`select_current` of every message of a conversation that this person said something about, in one query."""
    inside = select(messages.c.id).where(messages.c.conversation_id == conversation_id)
    said = (feedback.c.message_id.in_(inside), feedback.c.person_id == person_id)
    current: defaultdict[str, Current] = defaultdict(dict)
    for row in await select_all(connection, select(feedback).where(*said).order_by(feedback.c.position), Feedback):
        current[row.message_id][row.kind] = row
    return current


async def select_feedback(
    connection: AsyncConnection, person_id: str, limit: int, *, after: str | None = None, message_id: str | None = None
) -> list[Feedback]:
    """A page of what this person said, about one message or about any, newest first.

    `after` is the id of the row that ended the page before; LookupError if they have none of it.
    """
    own: list[ColumnElement[bool]] = [feedback.c.person_id == person_id]
    if message_id is not None:
        own.append(feedback.c.message_id == message_id)
    if after is not None:
        ended = select(feedback.c.position).where(feedback.c.id == after, *own)
        [last] = await select_place(connection, ended, f"feedback {after!r}")
        own.append(feedback.c.position < last)
    newest = select(feedback).where(*own).order_by(feedback.c.position.desc())
    return await select_all(connection, newest.limit(limit), Feedback)


async def delete_feedback(connection: AsyncConnection, message_id: str, person_id: str) -> int:
    """Remove all that this person said about this message; returns how many rows that was."""
    said = (feedback.c.message_id == message_id, feedback.c.person_id == person_id)
    return (await connection.execute(delete(feedback).where(*said))).rowcount


async def select_evidence(connection: AsyncConnection, after_position: int, limit: int) -> list[Evidence]:
    """The first `limit` answers, by position, about which their owners said something after `after_position`.

    What else an owner said before still counts; what other people said never does.
    """
    return await _select_evidence(connection, _touched(feedback.c.position > after_position), limit)


async def select_evidence_of(connection: AsyncConnection, message_ids: Sequence[str]) -> list[Evidence]:
    """What owners said of these answers, by position, whenever that was; of those that are evidence at all."""
    return await _select_evidence(connection, _touched(feedback.c.message_id.in_(message_ids)), len(message_ids))


async def select_preferences(connection: AsyncConnection, after_position: int, limit: int) -> list[Evidence]:
    """As `select_evidence`, of answers that their owners ever preferred over another; `preferred_over` is None where they no
    longer do."""
    newer = and_(feedback.c.position > after_position, feedback.c.kind == FeedbackKind.PREFERENCE)
    return await _select_evidence(connection, _touched(newer), limit)


async def _select_evidence(
    connection: AsyncConnection, touched_answers: Select[tuple[str, str, int]], limit: int
) -> list[Evidence]:
    selection = touched_answers.order_by(touched_answers.selected_columns.position).limit(limit)
    page = selection.subquery()
    touched = await select_all(connection, selection, Touched)
    threads = await select_threads(connection, select(page.c.message_id))
    said = await _select_newest(connection, page)
    others = await _select_preferred_over(connection, said)
    return [_evidence(one, threads[one.message_id], said[one.message_id], others.get(one.message_id)) for one in touched]


async def count_evidence(connection: AsyncConnection, after_position: int) -> EvidenceCount:
    """What `select_evidence` without a limit would yield, counted. An empty correction counts as none."""
    touched = _touched(feedback.c.position > after_position).subquery()
    rows = select(func.count(), func.count(touched.c.person_id.distinct()))
    answers, people = (await connection.execute(rows)).one()
    newest = _newest(touched).subquery()

    def said(kind: FeedbackKind, value: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count().filter(newest.c.kind == kind, value)

    kinds = select(
        said(FeedbackKind.THUMB, newest.c.value == "up").label("up"),
        said(FeedbackKind.THUMB, newest.c.value == "down").label("down"),
        said(FeedbackKind.CORRECTION, newest.c.value != "").label("corrections"),
    )
    counted = (await connection.execute(kinds)).mappings().one()
    return msgspec.convert({"rows": answers, "people": people, **counted}, EvidenceCount)


async def count_by_person(connection: AsyncConnection, after_position: int) -> list[int]:
    """How many votes and corrections of `count_evidence` each person gave, most first."""
    touched = _touched(feedback.c.position > after_position).subquery()
    newest = _newest(touched).subquery()
    votes = and_(newest.c.kind == FeedbackKind.THUMB, newest.c.value.in_(("up", "down")))
    corrections = and_(newest.c.kind == FeedbackKind.CORRECTION, newest.c.value != "")
    given = func.count(newest.c.message_id.distinct())
    counted = select(given).where(or_(votes, corrections)).group_by(newest.c.person_id).order_by(given.desc())
    return [int(count) for count in (await connection.scalars(counted)).all()]


async def latest_position(connection: AsyncConnection) -> int:
    """The position of the newest feedback row, 0 if there is none."""
    return await select_number(connection, select(func.max(feedback.c.position)))


def _touched(which: ColumnElement[bool]) -> Select[tuple[str, str, int]]:
    """Complete answers with such feedback from their owner, who lets cycles learn, as columns of `Touched`.

    The feedback is grouped first: as one join, SQLite would begin with all messages there are.
    """
    newest = func.max(feedback.c.position).label("position")
    given = select(feedback.c.message_id, feedback.c.person_id, newest).where(which)
    said = given.group_by(feedback.c.message_id, feedback.c.person_id).subquery("said")
    own = and_(messages.c.id == said.c.message_id, messages.c.person_id == said.c.person_id)
    return (
        select(said.c.message_id, said.c.person_id, said.c.position)
        .join(messages, own)
        .join(people, people.c.id == said.c.person_id)
        .where(messages.c.role == Role.ASSISTANT, messages.c.status == MessageStatus.COMPLETE, people.c.learn)
    )


def _newest(touched: Subquery) -> Select[tuple[object, ...]]:
    """The owners' newest feedback row of each kind about each touched answer."""
    owners = and_(feedback.c.message_id == touched.c.message_id, feedback.c.person_id == touched.c.person_id)
    newest = select(func.max(feedback.c.position)).join(touched, owners)
    positions = newest.group_by(feedback.c.message_id, feedback.c.kind)
    return select(*feedback.c).where(feedback.c.position.in_(positions))


async def _select_newest(connection: AsyncConnection, touched: Subquery) -> Mapping[str, Current]:
    """`_newest` by message and kind."""
    said: defaultdict[str, Current] = defaultdict(dict)
    for row in await select_all(connection, _newest(touched), Feedback):
        said[row.message_id][row.kind] = row
    return said


async def _select_preferred_over(connection: AsyncConnection, said: Mapping[str, Current]) -> Mapping[str, Message]:
    """By message: the owner's complete answer that it is preferred over, where there is one."""
    chosen = {id: row for id, of_message in said.items() if (row := of_message.get(FeedbackKind.PREFERENCE)) and row.value}
    if not chosen:
        return {}
    answers = (messages.c.role == Role.ASSISTANT, messages.c.status == MessageStatus.COMPLETE)
    ids = sorted({str(row.value) for row in chosen.values()})
    found = await select_all(connection, select(messages).where(messages.c.id.in_(ids), *answers), Message)
    own = {(other.id, other.person_id): other for other in found}
    there = {id: own.get((str(row.value), row.person_id)) for id, row in chosen.items()}
    return {id: other for id, other in there.items() if other is not None}


def _evidence(touched: Touched, thread: tuple[Message, ...], said: Current, preferred_over: Message | None) -> Evidence:
    *context, message = thread
    return Evidence(
        message=message,
        person_id=touched.person_id,
        context=tuple(context),
        thumb=_text(said, FeedbackKind.THUMB),
        reasons=_reasons(said),
        comment=_text(said, FeedbackKind.COMMENT),
        correction=_text(said, FeedbackKind.CORRECTION),
        updated_at_s=max(row.created_at_s for row in said.values()),
        position=touched.position,
        preferred_over=preferred_over,
    )


def _reasons(said: Current) -> tuple[Reason, ...]:
    """Those of the list; what was free text once, or came from elsewhere, counts as none."""
    given = msgspec.convert(said[FeedbackKind.REASON].value, list[str]) if FeedbackKind.REASON in said else []
    return tuple(reason for reason in Reason if reason in given)


def _text(said: Current, kind: FeedbackKind) -> str | None:
    return msgspec.convert(said[kind].value, str | None) if kind in said else None
