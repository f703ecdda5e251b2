"""A held-out answer belongs to the first cycle that used it up, and has the reasons that its owner gave last."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.cycles import finish_stage, insert_cycle, select_cycles, select_outputs, start_stage, update_cycle
from storage.datasets import insert_dataset
from storage.erase import erase_person
from storage.feedback import insert_feedback
from storage.heldout import HeldOut, select_heldout, select_slices
from storage.records import CycleState, Dataset, DatasetRow, Feedback, FeedbackKind, Review, StageName
from storage.reviews import count_held, hold
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction

STATES = (CycleState.INCONCLUSIVE, CycleState.REJECTED, CycleState.PROMOTED)
HELD = {"d1": ["answer"], "d2": ["answer", "again"], "d3": ["answer", "again", "second"]}


async def furnish_datasets(connection: AsyncConnection) -> None:
    """Three cycles that ended as `STATES`, each with the held-out rows of the one before and a new one."""
    await furnish(connection)
    for number, (id, messages) in enumerate(HELD.items(), 1):
        await insert_cycle(connection, "manual", "mixed", 1.0)
        await update_cycle(connection, number, state=STATES[number - 1])
        rows = [DatasetRow(id, at, message, "owner", "thumb", "heldout", 1.0) for at, message in enumerate(messages)]
        rows.append(DatasetRow(id, 9, "cut", "owner", "thumb", "train", 1.0))
        await insert_dataset(connection, Dataset(id, number, "", len(rows), 2.0, {}), rows)


def said(id: str, message: str, reasons: list[str], person: str = "owner") -> Feedback:
    return Feedback(id, message, person, FeedbackKind.REASON, reasons, 1.0, id)


def test_a_slice_is_of_the_first_cycle_with_a_verdict(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_datasets(connection)
        assert await select_slices(connection, 1) == {"answer": 2, "again": 2, "second": 3}
        assert await select_slices(connection, 4) == {}
        await erase_person(connection, "owner", 5.0)
        assert await select_slices(connection, 1) == {}

    in_transaction(place, body)


def test_reasons_are_the_owners_newest(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_datasets(connection)
        rows = [said("f1", "answer", ["wrong"]), said("f2", "answer", ["wrong", "style"]), said("f3", "again", ["wrong"], "other")]
        await insert_feedback(connection, rows)
        found = await select_heldout(connection, "d3")
        assert found == [HeldOut("answer", "thumb", ("wrong", "style")), HeldOut("again", "thumb"), HeldOut("second", "thumb")]

    in_transaction(place, body)


def test_outputs_and_cycles_are_those_asked_for(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_datasets(connection)
        for cycle_id in (1, 2, 3):
            await start_stage(connection, cycle_id, StageName.EVALUATE, 1.0)
        for cycle_id in (2, 1):
            await finish_stage(connection, cycle_id, StageName.EVALUATE, 2.0, {"of": cycle_id})
        assert [stage.output for stage in await select_outputs(connection, StageName.EVALUATE, 1)] == [{"of": 1}, {"of": 2}]
        assert [stage.cycle_id for stage in await select_outputs(connection, StageName.EVALUATE, 2)] == [2]
        assert [cycle.id for cycle in await select_cycles(connection, 5, until=2)] == [2, 1]
        assert [cycle.id for cycle in await select_cycles(connection, 2)] == [3, 2]

    in_transaction(place, body)


def test_what_a_cycle_holds_back_is_counted_by_reason(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_datasets(connection)
        held = [("answer", 2, "crowd"), ("again", 2, "claim"), ("second", 2, "claim"), ("cut", 3, "claim")]
        await hold(connection, [Review(message, "owner", cycle, reason, "", 1.0) for message, cycle, reason in held])
        assert [*(await count_held(connection, 2)).items()] == [("claim", 2), ("crowd", 1)]

    in_transaction(place, body)
