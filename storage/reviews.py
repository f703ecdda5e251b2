"""Answers that were held back from learning, and what operators decided about them.

An answer waits here until the reason has passed or an operator decides; a decision stays, whatever a later cycle thinks of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import insert_missing
from storage.cycles import LEARNT
from storage.records import Decision, MessageStatus, Review
from storage.rows import select_all, select_place
from storage.tables import cycles, dataset_rows, datasets, messages, people, reviews

TAUGHT = ("train", "heldout")  # splits of rows that were learnt from or judged by
MANY = 5000  # values in one statement, below what either database takes

HELD_AGAIN = (
    update(reviews)
    .where(reviews.c.message_id == bindparam("id"), reviews.c.decision.is_(None))
    .values({name: bindparam(name) for name in ("cycle_id", "reason", "cluster", "held_at_s")})
)


class HeldAnswer(Struct, frozen=True):
    """An answer that was held back, as an operator sees it."""

    message_id: str
    person_id: str
    cycle_id: int
    reason: str
    cluster: str
    held_at_s: float
    decision: Decision | None
    decided_at_s: float | None
    question: str
    answer: str
    alike: int = 1  # answers that are held back together, this one among them


class HeldCount(Struct, frozen=True):
    """How many answers, of how many people, wait for one reason."""

    reason: str
    answers: int
    people: int


async def hold(connection: AsyncConnection, rows: Sequence[Review]) -> None:
    """Note what a cycle holds back; what was held before has its newest reason, and a decided one stays as it is.

    IntegrityError if a person or cycle is unknown.
    """
    for row in rows:
        again = msgspec.structs.asdict(row)
        values = {name: again[name] for name in ("cycle_id", "reason", "cluster", "held_at_s")}
        done = await connection.execute(HELD_AGAIN, {"id": row.message_id, **values})
        if done.rowcount == 0:
            await insert_missing(connection, reviews, row)


async def let_pass(connection: AsyncConnection, message_ids: Sequence[str]) -> int:
    """Forget undecided rows whose reasons have passed; returns how many those were."""
    gone = 0
    for ids in _parts(message_ids):
        passed = delete(reviews).where(reviews.c.message_id.in_(ids), reviews.c.decision.is_(None))
        gone += (await connection.execute(passed)).rowcount
    return gone


async def select_held(
    connection: AsyncConnection, decision: Decision | None, limit: int, after: str | None = None, reason: str | None = None
) -> list[HeldAnswer]:
    """A page of what has this decision, or none yet, newest first; for one reason where it is given. Answers that their
    owners deleted are left out.

    `after` is the message that ended the page before; LookupError if it was never held.
    """
    question = messages.alias("question")
    statement = (
        select(*reviews.c, func.coalesce(question.c.content, "").label("question"), messages.c.content.label("answer"))
        .join(messages, messages.c.id == reviews.c.message_id)
        .outerjoin(question, question.c.id == messages.c.parent_id)
        .where(_has(decision), messages.c.status != MessageStatus.DELETED)
    )
    if reason is not None:
        statement = statement.where(reviews.c.reason == reason)
    if after is not None:
        ended = select(reviews.c.held_at_s, reviews.c.message_id).where(reviews.c.message_id == after)
        at_s, id = await select_place(connection, ended, f"held message {after!r}")
        earlier = and_(reviews.c.held_at_s == at_s, reviews.c.message_id < id)
        statement = statement.where(or_(reviews.c.held_at_s < at_s, earlier))
    newest = statement.order_by(reviews.c.held_at_s.desc(), reviews.c.message_id.desc()).limit(limit)
    page = await select_all(connection, newest, HeldAnswer)
    sizes = await _select_sizes(connection, decision, {held.cluster for held in page} - {""})
    return [msgspec.structs.replace(held, alike=sizes.get(held.cluster, 1)) for held in page]


async def count_held(connection: AsyncConnection, cycle_id: int) -> dict[str, int]:
    """Reason → how many answers wait since this cycle held them back, most first."""
    number = func.count()
    waiting = select(reviews.c.reason, number).where(reviews.c.cycle_id == cycle_id, reviews.c.decision.is_(None))
    grouped = waiting.group_by(reviews.c.reason).order_by(number.desc(), reviews.c.reason)
    return {row[0]: row[1] for row in await connection.execute(grouped)}


async def count_reasons(connection: AsyncConnection) -> list[HeldCount]:
    """What waits for a decision, by reason, most answers first; answers that their owners deleted are left out."""
    number = func.count().label("answers")
    waiting = (
        select(reviews.c.reason, number, func.count(reviews.c.person_id.distinct()).label("people"))
        .join(messages, messages.c.id == reviews.c.message_id)
        .where(_has(None), messages.c.status != MessageStatus.DELETED)
    )
    return await select_all(connection, waiting.group_by(reviews.c.reason).order_by(number.desc(), reviews.c.reason), HeldCount)


async def decide_message(connection: AsyncConnection, message_id: str, decision: Decision | None, at_s: float) -> int:
    """Decide about one answer, anew if need be, or take a decision back; LookupError if it was never held."""
    return await _decide(connection, reviews.c.message_id == message_id, decision, at_s, f"held message {message_id!r}")


async def decide_cluster(connection: AsyncConnection, cluster: str, decision: Decision | None, at_s: float) -> int:
    """Decide about all that is held back together, as about one; returns how many answers, LookupError if none."""
    return await _decide(connection, reviews.c.cluster == cluster, decision, at_s, f"cluster {cluster!r} of held messages")


async def select_decisions(connection: AsyncConnection, message_ids: Sequence[str]) -> Mapping[str, Decision]:
    """What was decided about these messages; those without a decision are left out."""
    decisions: dict[str, Decision] = {}
    for ids in _parts(message_ids):
        decided = select(reviews.c.message_id, reviews.c.decision).where(reviews.c.message_id.in_(ids))
        found = await connection.execute(decided.where(reviews.c.decision.is_not(None)))
        decisions |= {id: Decision(decision) for id, decision in found}
    return decisions


async def select_pending_ids(connection: AsyncConnection, limit: int) -> list[str]:
    """Messages to look at again: the accepted ones that no cycle has used since, and the newest of the undecided ones.

    Only of people who let cycles learn from them, and as long as the answer is there.
    """
    ids = (await connection.scalars(_awaited(reviews.c.decision == Decision.ACCEPTED, ~_is_used()).limit(limit))).all()
    undecided = _awaited(reviews.c.decision.is_(None)).limit(limit - len(ids))
    return [*ids, *(await connection.scalars(undecided)).all()]


def _awaited(*conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        select(reviews.c.message_id)
        .join(messages, messages.c.id == reviews.c.message_id)
        .join(people, people.c.id == reviews.c.person_id)
        .where(people.c.learn, messages.c.status == MessageStatus.COMPLETE, *conditions)
        .order_by(reviews.c.held_at_s.desc(), reviews.c.message_id.desc())
    )


def _is_used() -> ColumnElement[bool]:
    """Whether a cycle that used its evidence up had the message in its dataset."""
    return (
        select(dataset_rows.c.message_id)
        .join(datasets, datasets.c.id == dataset_rows.c.dataset_id)
        .join(cycles, cycles.c.id == datasets.c.cycle_id)
        .where(dataset_rows.c.message_id == reviews.c.message_id, dataset_rows.c.split.in_(TAUGHT), cycles.c.state.in_(LEARNT))
        .exists()
    )


async def _decide(
    connection: AsyncConnection, which: ColumnElement[bool], decision: Decision | None, at_s: float, name: str
) -> int:
    decided = update(reviews).where(which).values(decision=decision, decided_at_s=None if decision is None else at_s)
    if (count := (await connection.execute(decided)).rowcount) == 0:
        raise LookupError(f"no {name}")
    return count


async def _select_sizes(connection: AsyncConnection, decision: Decision | None, clusters: set[str]) -> dict[str, int]:
    sizes = select(reviews.c.cluster, func.count()).where(_has(decision), reviews.c.cluster.in_(clusters))
    return {str(cluster): int(count) for cluster, count in await connection.execute(sizes.group_by(reviews.c.cluster))}


def _has(decision: Decision | None) -> ColumnElement[bool]:
    return reviews.c.decision.is_(None) if decision is None else reviews.c.decision == decision


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[at : at + MANY] for at in range(0, len(ids), MANY)]
