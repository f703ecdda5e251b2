"""The loop's course is counted: cycles by their ends, stages with their times, verdicts, and moves forward and back."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.cycles import finish_stage, insert_cycle, start_stage, update_cycle
from storage.records import CycleState, StageName
from storage.release import go_live
from storage.tallies import StageTally, Tallies, tally
from tests.databases import Place
from tests.storage.loop import furnish_adapters, in_transaction


async def judge(connection: AsyncConnection, verdict: str, end: CycleState, at_s: float) -> None:
    """A cycle of a gate that took two seconds."""
    cycle = await insert_cycle(connection, "manual", "mixed", at_s)
    await start_stage(connection, cycle.id, StageName.GATE, at_s)
    await finish_stage(connection, cycle.id, StageName.GATE, at_s + 2, {"verdict": verdict, "reasons": ["it's so"]})
    await update_cycle(connection, cycle.id, state=end, ended_at_s=at_s + 3)


def test_all_is_counted(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_adapters(connection, "base", "r1")
        for at_s, name in enumerate(("base", "r1", "base"), 1):
            await go_live(connection, name, "setup", "", float(at_s))
        await judge(connection, "promote", CycleState.REJECTED, 10.0)  # by the people who tried it
        await judge(connection, "reject", CycleState.REJECTED, 20.0)
        await judge(connection, "reject", CycleState.REJECTED, 30.0)
        running = await insert_cycle(connection, "manual", "mixed", 40.0)
        await start_stage(connection, running.id, StageName.GATE, 41.0)
        assert await tally(connection) == Tallies(
            cycles={CycleState.REJECTED: 3, CycleState.RUNNING: 1},
            stages={StageName.GATE: StageTally(3, 6.0)},
            verdicts={"promote": 1, "reject": 2},
            releases=3,
            rollbacks=1,
            running_since_s=40.0,
            last_ended_at_s=33.0,
        )

    in_transaction(place, body)


def test_nothing_has_happened_in_an_empty_database(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        assert await tally(connection) == Tallies({}, {}, {}, 0, 0, None, None)

    in_transaction(place, body)
