"""Held-out rows of datasets: by which cycle they became what versions are judged by, and what their owners said of them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.cycles import LEARNT
from storage.records import FeedbackKind
from storage.rows import select_all
from storage.tables import cycles, dataset_rows, datasets, feedback

HELDOUT = dataset_rows.c.split == "heldout"


class HeldOut(Struct, frozen=True):
    """An answer that judges: which kind of feedback it had, and the reasons that its owner gave last."""

    message_id: str
    kind: str
    reasons: tuple[str, ...] = ()


async def select_slices(connection: AsyncConnection, since: int) -> Mapping[str, int]:
    """Held-out message → the first cycle that used it up; of those that were held out in cycle `since` or later.

    Only a promotion or a rejection uses feedback up: what a cycle without a verdict held out comes back in the next.
    """
    recent = select(dataset_rows.c.message_id).join(datasets, datasets.c.id == dataset_rows.c.dataset_id)
    first = (
        select(dataset_rows.c.message_id, func.min(datasets.c.cycle_id))
        .join(datasets, datasets.c.id == dataset_rows.c.dataset_id)
        .join(cycles, cycles.c.id == datasets.c.cycle_id)
        .where(
            HELDOUT, cycles.c.state.in_(LEARNT), dataset_rows.c.message_id.in_(recent.where(HELDOUT, datasets.c.cycle_id >= since))
        )
        .group_by(dataset_rows.c.message_id)
    )
    return {row[0]: row[1] for row in await connection.execute(first)}


async def select_heldout(connection: AsyncConnection, dataset_id: str) -> list[HeldOut]:
    """What the dataset held out, by number."""
    rows = select(dataset_rows.c.message_id, dataset_rows.c.kind).where(dataset_rows.c.dataset_id == dataset_id, HELDOUT)
    found = await select_all(connection, rows.order_by(dataset_rows.c.number), HeldOut)
    given = (
        select(feedback.c.message_id, feedback.c.value)
        .join(dataset_rows, dataset_rows.c.message_id == feedback.c.message_id)
        .where(dataset_rows.c.dataset_id == dataset_id, HELDOUT)
        .where(feedback.c.person_id == dataset_rows.c.person_id, feedback.c.kind == FeedbackKind.REASON)
        .order_by(feedback.c.position)
    )
    reasons = {message_id: tuple(map(str, value or ())) for message_id, value in await connection.execute(given)}
    return [msgspec.structs.replace(one, reasons=reasons.get(one.message_id, ())) for one in found]
