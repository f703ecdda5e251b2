"""A failed cycle goes on: from its last saved stage, where what that stage left is still there and still counts.

What people said to a cycle goes with its working folder when the cycle ends; its dataset and its candidates stay. So one that
failed before it had a dataset has nothing to go on from. Nothing is learnt twice: once another cycle has used up the same
evidence, this one stays ended.
"""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import StageError
from learner.curate.dataset import Curated
from learner.train.stage import Trained
from storage import adapters, audit, cycles, datasets, release
from storage.adapters import GONE
from storage.records import Cycle, CycleState, StageName

Outputs = dict[StageName, dict[str, object]]


async def reopen(connection: AsyncConnection, cycle_id: int, actor: str, at_s: float) -> Cycle:
    """Marks a failed cycle as running, and its candidates as candidates, in the caller's transaction; returns it. The `actor` is
    whose word that was, for the audit.

    Raises `LookupError` for no cycle, and `StageError` for one that cannot go on, with the reason.
    """
    cycle = await cycles.select_cycle(connection, cycle_id)
    if cycle is None:
        raise LookupError(f"no cycle {cycle_id}")
    if cycle.state is not CycleState.FAILED:
        raise StageError(f"cycle {cycle_id} is {cycle.state.value}, expected one that failed")
    stages = await cycles.select_stages(connection, cycle_id)
    done: Outputs = {stage.name: stage.output for stage in stages if stage.output is not None}
    await _check_unused(connection, cycle)
    await _check_dataset(connection, cycle, done)
    await _check_candidates(connection, cycle, done)
    reopened = await cycles.reopen_cycle(connection, cycle_id)
    await adapters.readmit_candidates(connection, cycle_id)
    await audit.insert_audit(connection, actor, "cycle.resume", str(cycle_id), "; ".join(cycle.reasons), at_s)
    return reopened


async def _check_unused(connection: AsyncConnection, cycle: Cycle) -> None:
    if (later := await cycles.select_learnt_after(connection, cycle.id)) is not None:
        raise StageError(f"cycle {later.id} has learnt since cycle {cycle.id} failed: start a new one")


async def _check_dataset(connection: AsyncConnection, cycle: Cycle, done: Outputs) -> None:
    if StageName.CURATE not in done:
        last = list(done)[-1].value if done else "none"
        raise StageError(f"cycle {cycle.id} has no dataset (its last saved stage is {last}): start a new one")
    dataset_id = msgspec.convert(done[StageName.CURATE], Curated).dataset_id
    dataset = await datasets.select_dataset(connection, dataset_id)
    if dataset is None or not dataset.path:
        raise StageError(f"the dataset {dataset_id[:12]} of cycle {cycle.id} is no longer kept: start a new one")


async def _check_candidates(connection: AsyncConnection, cycle: Cycle, done: Outputs) -> None:
    if StageName.TRAIN not in done:
        return
    trained = msgspec.convert(done[StageName.TRAIN], Trained)
    live = await release.select_live(connection)
    if live is None or live.adapter != trained.replaced:
        now = live.adapter if live else "nothing"
        raise StageError(f"cycle {cycle.id} was to replace {trained.replaced}, but {now} is live now: start a new one")
    for candidate in trained.candidates:
        made = await adapters.select_adapter(connection, candidate.adapter)
        if made is None or made.state in GONE or made.tainted_at_s is not None:
            state = "unknown" if made is None else made.state.value if made.state in GONE else "tainted"
            raise StageError(f"{candidate.adapter}, which cycle {cycle.id} made, is {state}: start a new one")
