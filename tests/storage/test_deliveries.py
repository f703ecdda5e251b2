"""What webhooks are told is noted once for each of them, and waits until it is taken."""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.deliveries import count_waiting, delete_done, insert_delivery, select_due, select_event_at, update_delivery
from storage.records import Delivery
from tests.databases import Place
from tests.storage.loop import in_transaction

TOLD = Delivery("hook", "verdict-1", "verdict", {"verdict": "promote"}, 5.0, due_at_s=5.0)


def test_an_event_is_told_once_to_each_hook(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for hook in ("hook", "other", "hook"):
            await insert_delivery(connection, replace(TOLD, hook=hook))
        assert await count_waiting(connection) == 2
        assert await select_due(connection, 4.9, 10) == []
        assert [one.hook for one in await select_due(connection, 5.0, 10)] == ["hook", "other"]
        failed = replace(TOLD, attempts=1, due_at_s=9.0, problem="status 500")
        await update_delivery(connection, failed)
        assert await select_due(connection, 8.0, 10) == [replace(TOLD, hook="other")]
        assert await select_due(connection, 9.0, 10) == [replace(TOLD, hook="other"), failed]
        await update_delivery(connection, replace(failed, due_at_s=None, delivered_at_s=9.0, problem=""))
        await insert_delivery(connection, TOLD)  # which it has had
        assert await count_waiting(connection) == 1

    in_transaction(place, body)


def test_what_is_done_goes_in_time_and_what_marks_a_beginning_stays(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        begun = Delivery("hook", "ping", "ping", {}, 1.0)
        for one in (begun, replace(TOLD, due_at_s=None), replace(TOLD, id="waits"), replace(TOLD, id="later", happened_at_s=9.0)):
            await insert_delivery(connection, one)
        await delete_done(connection, 8.0, but="ping")
        assert await select_event_at(connection, "hook", "ping") == 1.0
        assert [await select_event_at(connection, "hook", id) for id in ("verdict-1", "waits", "later")] == [None, 5.0, 9.0]

    in_transaction(place, body)
