"""A dry run: what a cycle that began now would learn, from how many people, what it would leave out, and what is missing.

Nothing is written and the engine is not asked: a correction counts as a new claim here where the parent model's own answers,
which a cycle asks for, might have shown that it is none, and what people commented on is not answered again.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import rollout
from learner.collect import select_all_evidence
from learner.context import Context, NothingToLearn
from learner.curate import documents
from learner.curate.choose import Known
from learner.curate.dataset import select_known
from learner.curate.enough import NEEDS_FEEDBACK, check_enough
from learner.curate.reading import take
from learner.curate.tools import Tools
from learner.evidence import Readiness, judge_evidence
from learner.rows import Row, RowKind, Split
from storage import cycles, feedback
from storage.records import Cycle, CycleState, Evidence


class Preview(Struct, frozen=True):
    """Rows are of new evidence; documents and replay come beside them."""

    method: str
    answers: int  # with something new said of them, or waiting since an earlier cycle
    train: int
    heldout: int
    liked: int
    disliked: int
    corrected: int
    people: int  # behind the rows that would be trained on
    effective: float  # how many independent votes those are worth
    dropped: dict[str, int]  # reason → rows that never teach
    held: dict[str, int]  # reason → rows that wait, for time to pass or an operator to decide
    would_learn: bool  # if somebody asked now
    why_not: str
    missing: tuple[str, ...]  # for a cycle to start by itself


async def preview(context: Context, method: str, corpus: str = "") -> Preview:
    """What a cycle of this method would do. Raises `SuiteError`, `PolicyError`, `StageError`, as a cycle would fail."""
    settings = context.settings

    async def look(connection: AsyncConnection) -> tuple[list[Evidence], Readiness, str]:
        _, fresh, waiting = await select_all_evidence(connection, settings.curate.row_budget)
        seen = await cycles.last_seen(connection)
        count, of_people = await feedback.count_evidence(connection, seen), await feedback.count_by_person(connection, seen)
        evidence = sorted([*fresh, *waiting], key=lambda item: item.position)
        full = await rollout.lacks_room(connection, settings.release.mode, method)
        return evidence, judge_evidence(count, of_people, settings.curate, settings.schedule), full

    evidence, ready, full = await context.database.read(look)
    created_at_s, decisions = await context.database.read(lambda connection: select_known(connection, evidence))
    tools = await asyncio.to_thread(Tools, context)
    prepared = await asyncio.to_thread(tools.chooser.prepare, evidence)
    known = Known(context.clock(), created_at_s, decisions)
    chosen = await asyncio.to_thread(tools.chooser.choose, evidence, prepared, known)
    rows, left = take(chosen.rows, method)
    train = [row for row in rows if row.split is Split.TRAIN]
    shown: list[Row] = []
    if method not in NEEDS_FEEDBACK:  # for the others, documents decide nothing
        cycle = Cycle(0, "preview", method, CycleState.RUNNING, context.clock(), corpus=corpus)
        shown = (await documents.draw(context, cycle, tools.chooser.cleaner)).rows
    why_not = full
    try:
        check_enough(method, rows, shown, chosen.dropped)
    except NothingToLearn as missing:
        why_not = "; ".join(filter(None, (full, str(missing))))
    return Preview(
        method=method,
        answers=len(evidence),
        train=len(train),
        heldout=len(rows) - len(train),
        liked=sum(row.label > 0 for row in train),
        disliked=sum(row.label < 0 for row in train),
        corrected=sum(row.kind is RowKind.CORRECTION for row in train),
        people=len({row.person_id for row in train}),
        effective=round(chosen.effective, 1),
        dropped=dict(Counter(drop.reason for drop in (*chosen.dropped, *left) if not drop.held)),
        held=dict(Counter(drop.reason for drop in chosen.dropped if drop.held)),
        would_learn=not why_not,
        why_not=why_not,
        missing=(*ready.missing, "a free slot for a trial") if full else ready.missing,
    )
