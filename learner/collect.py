"""Stage 1: new feedback and the turns it is about, since the last cycle that used any, into a file."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context, NothingToLearn
from storage import cycles, feedback
from storage.records import Cycle, Evidence

FILE = "evidence.jsonl"


class Collected(Struct, frozen=True):
    """`watermark` is the newest feedback row that is in the file."""

    watermark: int
    answers: int
    people: int


async def collect(context: Context, cycle: Cycle, may_be_none: bool = False) -> Collected:
    """Writes the evidence, oldest first, at most `row_budget` answers. Raises `NothingToLearn` if there must be some."""
    limit = context.settings.curate.row_budget

    async def select(connection: AsyncConnection) -> tuple[int, list[Evidence]]:
        after = await cycles.last_watermark(connection)
        return after, await feedback.select_evidence(connection, after, limit)

    after, evidence = await context.database.read(select)
    if not evidence and not may_be_none:
        raise NothingToLearn("no answer has had a vote, comment or correction since the last cycle that learnt")
    write_evidence(context.folder(cycle.id) / FILE, evidence)
    return Collected(
        watermark=max((item.position for item in evidence), default=after),
        answers=len(evidence),
        people=len({item.person_id for item in evidence}),
    )


def write_evidence(file: Path, evidence: list[Evidence]) -> None:
    file.write_bytes(b"".join(msgspec.json.encode(item) + b"\n" for item in evidence))


def read_evidence(file: Path) -> list[Evidence]:
    return [msgspec.json.decode(line, type=Evidence) for line in file.read_bytes().splitlines()]
