"""A lease is held by one at a time, for as long as it is renewed."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.leases import drop_lease, select_lease, take_lease
from storage.records import Lease
from tests.databases import Place
from tests.storage.loop import in_transaction


def test_only_one_holds_it_until_it_runs_out(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        async def take(holder: str, now_s: float) -> bool:
            return await take_lease(connection, "scheduler", holder, now_s, 10.0)

        assert await select_lease(connection, "scheduler") is None
        assert await take("a", 100.0)
        assert not await take("b", 109.9)
        assert await take("a", 109.9)  # renewed
        assert not await take("b", 110.0)
        assert await select_lease(connection, "scheduler") == Lease("scheduler", "a", 119.9)
        assert await take("b", 119.9)
        assert not await take("a", 119.9)

    in_transaction(place, body)


def test_it_is_free_at_once_when_its_holder_drops_it(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        assert await take_lease(connection, "scheduler", "a", 100.0, 10.0)
        await drop_lease(connection, "scheduler", "b")
        assert not await take_lease(connection, "scheduler", "b", 101.0, 10.0)
        await drop_lease(connection, "scheduler", "a")
        assert await take_lease(connection, "scheduler", "b", 101.0, 10.0)

    in_transaction(place, body)


def test_leases_of_other_names_are_nobodys_business(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        assert await take_lease(connection, "one", "a", 100.0, 10.0)
        assert await take_lease(connection, "two", "b", 100.0, 10.0)
        await drop_lease(connection, "one", "a")
        assert await select_lease(connection, "two") == Lease("two", "b", 110.0)

    in_transaction(place, body)
