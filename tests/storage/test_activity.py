"""What people do is counted for each of them, as they think now and as far as it was learnt."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.activity import Activity, select_activity
from storage.cycles import insert_cycle
from storage.datasets import insert_dataset
from storage.feedback import insert_feedback
from storage.records import Dataset, DatasetRow, Feedback, FeedbackKind
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction


def thumb(number: int, message_id: str, value: str | None, by: str = "owner") -> Feedback:
    return Feedback(f"f{number}", message_id, by, FeedbackKind.THUMB, value, float(number), f"f{number}")


def row(number: int, split: str, weight: float) -> DatasetRow:
    return DatasetRow("d", number, "answer", "owner", "thumb", split, weight)


def test_each_person_is_told_by_their_own_doings(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        said = [thumb(1, "answer", "up"), thumb(2, "answer", "down"), thumb(3, "again", "up"), thumb(4, "second", "up")]
        taken_back, others = thumb(5, "second", None), thumb(6, "cut", "down", by="other")
        await insert_feedback(connection, [*said, taken_back, others])
        cycle = await insert_cycle(connection, "manual", "mixed", 1.0)
        rows = [row(0, "train", 1.0), row(1, "train", 0.5), row(2, "heldout", 9.0), row(3, "dropped", 9.0)]
        await insert_dataset(connection, Dataset("d", cycle.id, "", 4, 1.0, {}), rows)
        assert await select_activity(connection, ["owner", "other", "nobody"]) == {
            "owner": Activity(1, answers=4, up=1, down=1, taught=2, weight=0.75, seen_at_s=0.0),
            "other": Activity(),
            "nobody": Activity(),
        }
        assert await select_activity(connection, []) == {}

    in_transaction(place, body)
