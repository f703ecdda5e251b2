"""Votes wait to be learnt from, and to be answered by: each counts once, from when it was given."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import insert_adapter
from storage.cycles import insert_cycle
from storage.datasets import insert_dataset
from storage.feedback import insert_feedback
from storage.records import Dataset, DatasetRow, Feedback, FeedbackKind
from storage.release import go_live
from storage.waits import Seen, select_seen, select_waits_to_eligible, select_waits_to_live
from tests.databases import Place
from tests.storage.loop import adapter, furnish, furnish_adapters, in_transaction


async def vote(connection: AsyncConnection, answer: str, at_s: float, who: str = "owner") -> None:
    id = f"{answer}-{who}-{at_s}"
    await insert_feedback(connection, [Feedback(id, answer, who, FeedbackKind.THUMB, "up", at_s, id)])


async def learn(connection: AsyncConnection, name: str, at_s: float, *answers: str, split: str = "train") -> None:
    """A version of the answers' votes, not live yet."""
    cycle = await insert_cycle(connection, "manual", "mixed", at_s)
    rows = [DatasetRow(name, number, answer, "owner", "thumb", split, 1.0) for number, answer in enumerate(answers)]
    await insert_dataset(connection, Dataset(name, cycle.id, "", len(rows), at_s, {}), rows)
    await insert_adapter(connection, adapter(name, cycle_id=cycle.id, dataset_id=name))


def test_a_vote_is_eligible_with_the_first_dataset_that_learns_from_it(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await vote(connection, "answer", 10.0)
        await vote(connection, "answer", 12.0)
        await vote(connection, "answer", 13.0, who="other")  # nobody asked them
        await vote(connection, "again", 14.0)
        await learn(connection, "r1", 20.0, "answer")
        await learn(connection, "held", 21.0, "again", split="heldout")
        assert sorted(await select_waits_to_eligible(connection, 0.0)) == [8.0]
        await learn(connection, "r2", 30.0, "answer", "again")
        assert sorted(await select_waits_to_eligible(connection, 0.0)) == [8.0, 16.0]
        assert await select_waits_to_eligible(connection, 21.0) == [16.0]
        await vote(connection, "answer", 40.0)
        await learn(connection, "r3", 45.0, "answer", "again")
        assert await select_waits_to_eligible(connection, 30.0) == [5.0]  # said anew it is another vote

    in_transaction(place, body)


def test_a_vote_is_live_with_the_first_version_that_learnt_from_it(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await furnish_adapters(connection, "base")
        await go_live(connection, "base", "setup", "", 1.0)
        await vote(connection, "answer", 10.0)
        await vote(connection, "again", 12.0)
        await learn(connection, "rejected", 20.0, "answer")
        await learn(connection, "r2", 30.0, "answer")
        assert await select_waits_to_live(connection, 0) == []
        await go_live(connection, "r2", "cycle", "", 35.0)
        assert await select_waits_to_live(connection, 0) == [25.0]
        seen = await select_seen(connection)
        assert seen == Seen(30.0, 2)
        await learn(connection, "r3", 40.0, "answer", "again")
        await go_live(connection, "r3", "cycle", "", 50.0)
        await go_live(connection, "r2", "operator", "rolled back", 60.0)  # and back again, which nobody waited for
        await go_live(connection, "r3", "operator", "", 70.0)
        assert await select_waits_to_live(connection, seen.release_id) == [38.0]

    in_transaction(place, body)


def test_nothing_waits_in_an_empty_database(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        assert await select_seen(connection) == Seen(0.0, 0)
        assert await select_waits_to_eligible(connection, 0.0) == await select_waits_to_live(connection, 0) == []

    in_transaction(place, body)
