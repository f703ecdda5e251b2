"""A cycle and its stages can be taken up where they were left, and feedback is used up only by a verdict."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import cycles as sql
from storage.records import Cycle, CycleState, Stage, StageName
from tests.databases import Place
from tests.storage.loop import in_transaction


def test_a_cycle_keeps_what_is_changed_and_only_that(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        begun = await sql.insert_cycle(connection, "schedule", "kto", 1.0)
        assert begun == Cycle(1, "schedule", "kto", CycleState.RUNNING, 1.0)
        assert await sql.select_running(connection) == begun
        await sql.update_cycle(connection, 1, adapter="v1", watermark=7)
        await sql.update_cycle(connection, 1, state=CycleState.REJECTED, ended_at_s=9.0, reasons=["worse"])
        ended = Cycle(1, "schedule", "kto", CycleState.REJECTED, 1.0, 9.0, "v1", ("worse",), 7)
        assert await sql.select_cycle(connection, 1) == ended
        assert await sql.select_running(connection) is None
        second = await sql.insert_cycle(connection, "manual", "cpt", 10.0, "novels")
        assert (second.id, second.corpus) == (2, "novels") and await sql.select_cycle(connection, 2) == second
        assert [cycle.id for cycle in await sql.select_cycles(connection, 5)] == [2, 1]
        with pytest.raises(LookupError, match="no cycle 3"):
            await sql.update_cycle(connection, 3)

    in_transaction(place, body)


def test_only_a_verdict_moves_the_watermark(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        assert await sql.last_watermark(connection) == 0
        for state in CycleState:
            cycle = await sql.insert_cycle(connection, "manual", "kto", 1.0)
            watermark = 5 if state in sql.LEARNT else 9
            await sql.update_cycle(connection, cycle.id, state=state, watermark=watermark)
        assert await sql.last_watermark(connection) == 5

    in_transaction(place, body)


def test_an_unfinished_stage_may_start_again_and_a_finished_one_may_not(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await sql.insert_cycle(connection, "manual", "kto", 1.0)
        await sql.start_stage(connection, 1, StageName.CURATE, 1.0)
        await sql.start_stage(connection, 1, StageName.COLLECT, 1.0)
        await sql.start_stage(connection, 1, StageName.COLLECT, 2.0)
        await sql.finish_stage(connection, 1, StageName.COLLECT, 3.0, {"rows": 4})
        collect = Stage(1, StageName.COLLECT, 2.0, 3.0, {"rows": 4})
        assert await sql.select_stages(connection, 1) == [collect, Stage(1, StageName.CURATE, 1.0)]
        with pytest.raises(ValueError, match="'collect' of cycle 1"):
            await sql.start_stage(connection, 1, StageName.COLLECT, 4.0)
        with pytest.raises(LookupError, match="'train' in cycle 1"):
            await sql.finish_stage(connection, 1, StageName.TRAIN, 4.0, {})

    in_transaction(place, body)
