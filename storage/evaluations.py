"""Evaluations: how an adapter scored on each item of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Evaluation, Score
from storage.rows import insert, insert_numbered, select_all
from storage.tables import evaluations
from storage.tables import scores as score_table


async def insert_evaluation(
    connection: AsyncConnection,
    cycle_id: int | None,
    adapter: str,
    suite: str,
    suite_sha256: str,
    scores: Mapping[str, float],
    created_at_s: float,
) -> Evaluation:
    """Keep the score of every item (item id → value) and their mean; ValueError if there is none.

    IntegrityError if the cycle or the adapter is unknown.
    """
    if not scores:
        raise ValueError(f"an evaluation of {adapter!r} on {suite!r} needs at least one score")
    evaluation = Evaluation(0, cycle_id, adapter, suite, suite_sha256, fmean(scores.values()), created_at_s)
    values = msgspec.structs.asdict(evaluation)
    del values["id"]
    evaluation = msgspec.structs.replace(evaluation, id=await insert_numbered(connection, evaluations, values))
    await insert(connection, score_table, [Score(evaluation.id, item, value) for item, value in scores.items()])
    return evaluation


async def select_scores(connection: AsyncConnection, adapter: str, suite: str, suite_sha256: str) -> dict[str, float] | None:
    """Item id → value of the newest evaluation of this adapter on exactly this suite; None if there is none."""
    same = (evaluations.c.suite == suite, evaluations.c.suite_sha256 == suite_sha256)
    of_adapter = select(evaluations.c.id).where(evaluations.c.adapter == adapter, *same)
    newest = of_adapter.order_by(evaluations.c.id.desc()).limit(1).scalar_subquery()
    statement = select(score_table).where(score_table.c.evaluation_id == newest)
    found = await select_all(connection, statement, Score)
    return {score.item_id: score.value for score in found} or None


async def select_evaluations(connection: AsyncConnection, cycle_id: int) -> list[Evaluation]:
    """The cycle's evaluations, oldest first."""
    statement = select(evaluations).where(evaluations.c.cycle_id == cycle_id).order_by(evaluations.c.id)
    return await select_all(connection, statement, Evaluation)
