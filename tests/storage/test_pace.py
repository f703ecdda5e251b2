"""Of the newest answers, those whose times were taken, with what the engine broke off."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.conversations import insert_messages
from storage.pace import select_timed
from storage.records import BROKEN_OFF, MessageStatus, Role
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction, message


def test_only_answers_of_the_time_asked_for_with_their_times(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        broken = {"status": MessageStatus.INTERRUPTED, "finish_reason": BROKEN_OFF}
        await insert_messages(
            connection,
            [
                message("early", "question", latency_ms=9.0, created_at_s=49.0),
                message("quick", "question", latency_ms=10.0, first_token_ms=1.0, created_at_s=50.0),
                message("imported", "question", created_at_s=51.0),
                message("asked", "quick", Role.USER, created_at_s=52.0),
                message("broken", "asked", latency_ms=20.0, created_at_s=53.0, **broken),
            ],
        )
        found = await select_timed(connection, 50.0)
        assert [(one.latency_ms, one.first_token_ms, one.failed) for one in found] == [(20.0, None, True), (10.0, 1.0, False)]

    in_transaction(place, body)
