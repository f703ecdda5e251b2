"""Forgetting a person: every row of theirs goes, and a receipt without a word about them stays.

The receipt also says what is still to be done. Its files are not finished before its counts have `FILES`, and a dataset's
file is to be written anew while it has more rows than its manifest names (`storage.datasets.select_overfull`). So whoever
finds a receipt that a crash left behind can finish the work, though the person is no longer known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
from sqlalchemy import ColumnElement, Select, Table, Text, bindparam, delete, func, literal, or_, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.lineage import select_adapters_of_person
from storage.records import AdapterState, Erasure, FeedbackKind, Stage, StageName, new_id
from storage.rows import insert, select_all, select_one
from storage.tables import (
    adapters,
    api_keys,
    audit,
    conversations,
    dataset_rows,
    datasets,
    documents,
    erasures,
    failures,
    feedback,
    messages,
    people,
    reviews,
    sessions,
    stages,
)

FILES = "files"  # in a receipt's counts once no file holds the person any more
SINCE = select(erasures).where(erasures.c.created_at_s >= bindparam("at_s"))


async def erase_person(connection: AsyncConnection, person_id: str, at_s: float) -> Erasure:
    """Remove all rows of a person, mark what learnt from them as tainted, and keep the receipt; LookupError for nobody's id.

    What others said about the person's answers goes too, and their names stay: nobody else's row is touched.
    """
    # Until this ends, nobody can add a row of the person's: it would wait for this lock, and then find no person.
    locked = select(people.c.id).where(people.c.id == person_id).with_for_update()
    if (await connection.execute(locked)).first() is None:
        raise LookupError(f"no person {person_id!r}")
    receipt_id = new_id("erasure")
    names = await select_adapters_of_person(connection, person_id)
    marks = await _select_marks(connection, person_id)
    await _scrub_stages(connection, person_id)
    counts = {table.name: (await connection.execute(delete(table).where(own))).rowcount for table, own in _owned_rows(person_id)}
    await _rename_in_audit(connection, person_id, receipt_id)
    left = await _taint(connection, names, at_s)
    receipt = Erasure(receipt_id, at_s, counts, tuple(names), marks, cleaned_at_s=None if left else at_s)
    await insert(connection, erasures, [receipt])
    return receipt


async def select_erasures(connection: AsyncConnection, limit: int) -> list[Erasure]:
    """The newest `limit` receipts, newest first."""
    newest = select(erasures).order_by(erasures.c.created_at_s.desc(), erasures.c.id)
    return await select_all(connection, newest.limit(limit), Erasure)


async def select_erasure(connection: AsyncConnection, id: str) -> Erasure | None:
    """The receipt with this id."""
    return await select_one(connection, select(erasures).where(erasures.c.id == id), Erasure)


async def select_unfinished(connection: AsyncConnection) -> list[Erasure]:
    """The receipts of people who may still be in files, oldest first."""
    found = await select_all(connection, select(erasures).order_by(erasures.c.created_at_s), Erasure)
    return [receipt for receipt in found if FILES not in receipt.counts]


async def finish_erasure(connection: AsyncConnection, receipt: Erasure, files: int) -> Erasure:
    """Note that no file holds the person any more, and how many were removed or written anew."""
    finished = msgspec.structs.replace(receipt, counts={**receipt.counts, FILES: files})
    await connection.execute(update(erasures).where(erasures.c.id == receipt.id).values(counts=finished.counts))
    return finished


async def close_erasures(connection: AsyncConnection, cycle_id: int | None, at_s: float) -> None:
    """Note on receipts whose last adapter is erased that they are clean, since when, and by which cycle."""
    open_receipts = await select_all(connection, select(erasures).where(erasures.c.cleaned_at_s.is_(None)), Erasure)
    for receipt in open_receipts:
        if not await _select_kept(connection, receipt.adapters):
            cleaned = update(erasures).where(erasures.c.id == receipt.id)
            await connection.execute(cleaned.values(cycle_id=cycle_id, cleaned_at_s=at_s))


async def was_erased_since(connection: AsyncConnection, person_id: str, at_s: float) -> bool:
    """Whether the person was forgotten at this time or later: what they said before must not come back with a late write."""
    since = await select_all(connection, SINCE, Erasure, at_s=at_s)
    return any(mark(person_id) in receipt.marks for receipt in since)


def mark(id: str) -> str:
    """What a receipt keeps of an identifier. Identifiers are random, so nothing can be guessed from it."""
    return hashlib.sha256(id.encode()).hexdigest()


def _owned(person_id: str) -> Select[tuple[str]]:
    return select(messages.c.id).where(messages.c.person_id == person_id)


def _owned_rows(person_id: str) -> list[tuple[Table, ColumnElement[bool]]]:
    """What goes of each table, in the order that the foreign keys ask for."""
    quoted = select(literal('"') + messages.c.id + literal('"')).where(messages.c.person_id == person_id)
    preferred = (feedback.c.kind == FeedbackKind.PREFERENCE) & type_coerce(feedback.c.value, Text).in_(quoted)
    return [
        (dataset_rows, or_(dataset_rows.c.person_id == person_id, dataset_rows.c.message_id.in_(_owned(person_id)))),
        (reviews, reviews.c.person_id == person_id),
        (feedback, or_(feedback.c.person_id == person_id, feedback.c.message_id.in_(_owned(person_id)), preferred)),
        (messages, messages.c.person_id == person_id),
        (conversations, conversations.c.person_id == person_id),
        (failures, failures.c.person_id == person_id),
        (documents, documents.c.person_id == person_id),
        (sessions, sessions.c.person_id == person_id),
        (api_keys, api_keys.c.person_id == person_id),
        (people, people.c.id == person_id),
    ]


async def _select_marks(connection: AsyncConnection, person_id: str) -> tuple[str, ...]:
    own_words = or_(feedback.c.person_id == person_id, feedback.c.message_id.in_(_owned(person_id)))
    ids = {person_id}
    for statement in (
        select(conversations.c.id).where(conversations.c.person_id == person_id),
        _owned(person_id),
        select(feedback.c.id).where(own_words),
        select(feedback.c.submission_id).where(own_words),
        select(dataset_rows.c.message_id).where(dataset_rows.c.person_id == person_id),  # deleted before, perhaps
    ):
        ids.update((await connection.scalars(statement)).all())
    return tuple(sorted(mark(id) for id in ids))


async def _scrub_stages(connection: AsyncConnection, person_id: str) -> None:
    """Take the person out of what stages of their cycles have put out."""
    of_cycles = select(datasets.c.cycle_id).join(dataset_rows, dataset_rows.c.dataset_id == datasets.c.id)
    theirs = of_cycles.where(dataset_rows.c.person_id == person_id)
    for stage in await select_all(connection, select(stages).where(stages.c.cycle_id.in_(theirs)), Stage):
        this = (stages.c.cycle_id == stage.cycle_id, stages.c.name == stage.name)
        if stage.output is not None:
            await connection.execute(update(stages).where(*this).values(output=_scrub(stage.name, stage.output, person_id)))


def _scrub(name: StageName, output: dict[str, object], person_id: str) -> dict[str, object]:
    match name:
        case StageName.TRAIN:
            return {**output, "probes": {}}  # texts of the dataset, which do not say whose they are
        case StageName.EVALUATE:
            votes = msgspec.convert(output["votes"], list[dict[str, object]])
            return {**output, "votes": [vote for vote in votes if vote["person_id"] != person_id]}
        case _:
            return output


async def _rename_in_audit(connection: AsyncConnection, person_id: str, receipt_id: str) -> None:
    for column in (audit.c.actor, audit.c.subject, audit.c.detail):
        named = update(audit).where(column.contains(person_id, autoescape=True))
        await connection.execute(named.values({column: func.replace(column, person_id, receipt_id)}))


async def _taint(connection: AsyncConnection, names: list[str], at_s: float) -> list[str]:
    """Mark adapters as learnt from somebody who is forgotten; gives those that are not erased yet."""
    left = await _select_kept(connection, names)
    fresh = update(adapters).where(adapters.c.name.in_(left), adapters.c.tainted_at_s.is_(None))
    await connection.execute(fresh.values(tainted_at_s=at_s))
    return left


async def _select_kept(connection: AsyncConnection, names: Iterable[str]) -> list[str]:
    kept = select(adapters.c.name).where(adapters.c.name.in_(list(names)), adapters.c.state != AdapterState.ERASED)
    return list((await connection.scalars(kept)).all())
