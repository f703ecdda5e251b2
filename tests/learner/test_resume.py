"""A failed cycle goes on where its dataset is kept and nobody has learnt since; otherwise it says why it cannot."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.collect import Collected
from learner.context import Context, StageError
from learner.curate.dataset import Curated
from learner.resume import reopen
from learner.train.stage import Candidate, Trained
from storage import adapters, audit, cycles, datasets
from storage.records import Adapter, AdapterState, Cycle, CycleState, Dataset, StageName
from tests.learner.ended import keep
from tests.learner.world import Body, make_live

CURATED = Curated("d" * 64, 1, 0, 0, {})
NAME = "r1-00000001"
TRAINED = Trained([Candidate(NAME, "", 4, 1.0, 0.5, {}, "")], "base", "base", "base", {NAME: []})


async def failed(context: Context, outputs: dict[StageName, msgspec.Struct], path: str = "artifacts/datasets/d.jsonl") -> Cycle:
    """A cycle that got so far, with its dataset and the candidate that was rejected when it ended."""

    async def write(connection: AsyncConnection) -> Cycle:
        cycle = await cycles.insert_cycle(connection, "operator", "mixed", 1.0)
        await datasets.insert_dataset(connection, Dataset(CURATED.dataset_id, cycle.id, path, 1, 2.0, {}), [])
        made = Adapter(NAME, "base", cycle.id, CURATED.dataset_id, "ab", "", AdapterState.REJECTED, 3.0)
        await adapters.insert_adapter(connection, made)
        ended = {"state": CycleState.FAILED, "ended_at_s": 4.0, "reasons": ("evaluate: no engine",), "watermark": 9}
        await cycles.update_cycle(connection, cycle.id, **ended)  # type: ignore[arg-type]
        return cycle

    cycle = await context.database.write(write)
    await keep(context, cycle, outputs)
    return cycle


async def attempt(context: Context, cycle_id: int) -> Cycle:
    return await context.database.write(lambda connection: reopen(connection, cycle_id, "operator", 5.0))


UP_TO_TRAINED = {StageName.COLLECT: Collected(9, 1, 1), StageName.CURATE: CURATED, StageName.TRAIN: TRAINED}


def test_it_runs_again_with_its_candidate_and_is_in_the_audit(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        cycle = await failed(context, UP_TO_TRAINED)
        reopened = await attempt(context, cycle.id)
        assert (reopened.state, reopened.ended_at_s, reopened.reasons, reopened.watermark) == (CycleState.RUNNING, None, (), 9)
        made = await context.database.read(lambda connection: adapters.select_adapter(connection, NAME))
        assert made is not None and made.state is AdapterState.CANDIDATE
        [entry] = await context.database.read(lambda connection: audit.select_audit(connection, 1))
        assert (entry.action, entry.subject, entry.detail) == ("cycle.resume", str(cycle.id), "evaluate: no engine")
        with pytest.raises(StageError, match="is running, expected one that failed"):
            await attempt(context, cycle.id)

    run(body)


@pytest.mark.parametrize(
    ("outputs", "path", "why"),
    [
        pytest.param({}, "file", "has no dataset .its last saved stage is none", id="nothing saved"),
        pytest.param({StageName.COLLECT: Collected(9, 1, 1)}, "file", "its last saved stage is collect", id="only collected"),
        pytest.param(UP_TO_TRAINED, "", "dataset dddddddddddd of cycle 1 is no longer kept", id="dataset gone"),
    ],
)
def test_one_without_what_it_needs_says_so(
    run: Callable[[Body], None], outputs: dict[StageName, msgspec.Struct], path: str, why: str
) -> None:
    async def body(context: Context) -> None:
        cycle = await failed(context, outputs, path)
        with pytest.raises(StageError, match=why):
            await attempt(context, cycle.id)

    run(body)


def test_nothing_is_learnt_twice_and_nothing_replaces_another_than_it_was_made_for(run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        cycle = await failed(context, UP_TO_TRAINED)
        await make_live(context, "r9-00000009", "base", None)
        with pytest.raises(StageError, match="was to replace base, but r9-00000009 is live now"):
            await attempt(context, cycle.id)
        later = await context.database.write(lambda connection: cycles.insert_cycle(connection, "test", "mixed", 6.0))
        state = {"state": CycleState.REJECTED, "watermark": 12}
        await context.database.write(lambda connection: cycles.update_cycle(connection, later.id, **state))  # type: ignore[arg-type]
        with pytest.raises(StageError, match="cycle 2 has learnt since cycle 1 failed"):
            await attempt(context, cycle.id)
        with pytest.raises(LookupError, match="no cycle 7"):
            await attempt(context, 7)

    run(body)
