"""Stage 1: new feedback and the turns it is about, since the last cycle that used any, into a file; and what was held back."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context, NothingToLearn
from learner.curate.enough import NEEDS_FEEDBACK, reads_feedback
from storage import cycles, feedback, reviews
from storage.records import Cycle, Evidence

FILE = "evidence.jsonl"


class Collected(Struct, frozen=True):
    """`watermark` is the newest feedback row that the cycle uses up."""

    watermark: int
    answers: int
    people: int
    held: int = 0  # of the answers that are in the file since an earlier cycle held them back


async def collect(context: Context, cycle: Cycle, may_be_none: bool = False) -> Collected:
    """Writes the evidence, oldest first, at most `row_budget` answers. Raises `NothingToLearn` if there must be some.

    A method that learns from nothing that people said has it only to be judged by: it stays new for the next cycle.
    """
    limit = context.settings.curate.row_budget
    after, fresh, held = await context.database.read(lambda connection: select_all_evidence(connection, limit))
    evidence = sorted([*fresh, *held], key=lambda item: item.position)
    if not evidence and not may_be_none and cycle.method in NEEDS_FEEDBACK:
        raise NothingToLearn("no answer has had a vote, comment or correction since the last cycle that learnt")
    write_evidence(context.folder(cycle.id) / FILE, evidence)
    return Collected(
        watermark=max((item.position for item in fresh), default=after) if reads_feedback(cycle.method) else after,
        answers=len(evidence),
        people=len({item.person_id for item in evidence}),
        held=len(held),
    )


async def collect_again(context: Context, cycle: Cycle, collected: Collected) -> None:
    """Writes the evidence that was collected once more. What is newer stays new for the next cycle, which may learn from it."""
    limit = context.settings.curate.row_budget
    _, fresh, held = await context.database.read(lambda connection: select_all_evidence(connection, limit))
    evidence = [item for item in fresh if item.position <= collected.watermark or not reads_feedback(cycle.method)]
    write_evidence(context.folder(cycle.id) / FILE, sorted([*evidence, *held], key=lambda item: item.position))


async def select_all_evidence(connection: AsyncConnection, limit: int) -> tuple[int, list[Evidence], list[Evidence]]:
    """The watermark, what is new since, and what was held back before and is to be looked at again; at most `limit` answers."""
    after = await cycles.last_watermark(connection)
    fresh = await feedback.select_evidence(connection, after, limit)
    new = {item.message.id for item in fresh}
    waiting = await reviews.select_pending_ids(connection, limit - len(fresh)) if len(fresh) < limit else []
    return after, fresh, await feedback.select_evidence_of(connection, [id for id in waiting if id not in new])


def write_evidence(file: Path, evidence: list[Evidence]) -> None:
    file.write_bytes(b"".join(msgspec.json.encode(item) + b"\n" for item in evidence))


def read_evidence(file: Path) -> list[Evidence]:
    return [msgspec.json.decode(line, type=Evidence) for line in file.read_bytes().splitlines()]
