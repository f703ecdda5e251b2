"""Thumbs are counted by the version that wrote the answer and by the day on which they were given, as they are now."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.conversations import insert_message
from storage.feedback import insert_feedback
from storage.people import update_consent
from storage.records import Feedback, FeedbackKind
from storage.votes import DayVotes, select_day_votes
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction, message

DAY = 86_400.0


async def say(connection: AsyncConnection, message_id: str, thumb: str | None, at_s: float, by: str = "owner") -> None:
    id = f"{message_id}-{by}-{at_s}"
    await insert_feedback(connection, [Feedback(id, message_id, by, FeedbackKind.THUMB, thumb, at_s, id)])


async def answer(connection: AsyncConnection, id: str, version: str) -> None:
    await insert_message(connection, message(id, "question", adapter="asked", engine_model=version))


def test_each_version_has_the_thumbs_of_each_day(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        for number in range(5):
            await answer(connection, f"old-{number}", "r1")
        await answer(connection, "new", "r2")
        for id, thumb, day in (("old-0", "up", 1), ("old-1", "down", 1), ("old-2", "up", 2), ("new", "down", 2)):
            await say(connection, id, thumb, day * DAY + 5)
        await say(connection, "old-0", "down", 3 * DAY)  # another opinion, on another day: the newest counts, once
        await say(connection, "old-3", "up", 2 * DAY)
        await say(connection, "old-3", None, 2 * DAY + 1)  # taken back
        await say(connection, "old-4", "down", 2 * DAY, by="other")  # not the owner's
        assert await select_day_votes(connection, 0.0) == [
            DayVotes("r1", "1970-01-02", 0, 1),
            DayVotes("r1", "1970-01-03", 1, 0),
            DayVotes("r2", "1970-01-03", 0, 1),
            DayVotes("r1", "1970-01-04", 0, 1),
        ]
        assert await select_day_votes(connection, 3 * DAY) == [DayVotes("r1", "1970-01-04", 0, 1)]
        await update_consent(connection, "owner", False)
        assert await select_day_votes(connection, 0.0) == []

    in_transaction(place, body)
