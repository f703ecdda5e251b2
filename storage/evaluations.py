"""Evaluations: how an adapter scored on each item of a suite.

Each has a digest of whose scores it holds, on what, and all of them: one that was altered since is as good as none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from statistics import fmean

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import Evaluation, Score
from storage.rows import insert, insert_numbered, select_all, select_one
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
    seal = digest(adapter, suite_sha256, scores)
    evaluation = Evaluation(0, cycle_id, adapter, suite, suite_sha256, fmean(scores.values()), created_at_s, seal)
    values = msgspec.structs.asdict(evaluation)
    del values["id"]
    evaluation = msgspec.structs.replace(evaluation, id=await insert_numbered(connection, evaluations, values))
    await insert(connection, score_table, [Score(evaluation.id, item, value) for item, value in scores.items()])
    return evaluation


async def select_scores(connection: AsyncConnection, adapter: str, suite: str, suite_sha256: str) -> dict[str, float] | None:
    """Item id → value of the newest evaluation of this adapter on exactly this suite.

    None if there is none, or if it is no longer what was kept.
    """
    same = (evaluations.c.adapter == adapter, evaluations.c.suite == suite, evaluations.c.suite_sha256 == suite_sha256)
    newest = await select_one(connection, select(evaluations).where(*same).order_by(evaluations.c.id.desc()).limit(1), Evaluation)
    if newest is None:
        return None
    found = await select_all(connection, select(score_table).where(score_table.c.evaluation_id == newest.id), Score)
    scores = {score.item_id: score.value for score in found}
    return scores if digest(adapter, suite_sha256, scores) == newest.digest else None


def digest(adapter: str, suite_sha256: str, scores: Mapping[str, float]) -> str:
    """SHA-256 of an adapter's scores on a suite, in whatever order they come, as a database gives them back: floats, no -0."""
    values = [(item, float(value) + 0.0) for item, value in sorted(scores.items())]
    return hashlib.sha256(msgspec.json.encode([adapter, suite_sha256, values])).hexdigest()


async def select_evaluations(connection: AsyncConnection, cycle_id: int) -> list[Evaluation]:
    """The cycle's evaluations, oldest first."""
    statement = select(evaluations).where(evaluations.c.cycle_id == cycle_id).order_by(evaluations.c.id)
    return await select_all(connection, statement, Evaluation)


async def select_newest(connection: AsyncConnection) -> list[Evaluation]:
    """The newest evaluation of each version on each suite as it was then, oldest first."""
    each = (evaluations.c.adapter, evaluations.c.suite, evaluations.c.suite_sha256)
    newest = evaluations.c.id.in_(select(func.max(evaluations.c.id)).group_by(*each))
    return await select_all(connection, select(evaluations).where(newest).order_by(evaluations.c.id), Evaluation)
