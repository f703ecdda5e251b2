"""The live pointer moves whole or not at all."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import select_adapter, select_adapters, update_adapter_state
from storage.audit import select_audit
from storage.database import Database
from storage.records import AdapterState, Release
from storage.release import go_live, select_history, select_live, select_previous
from storage.tables import adapters
from tests.databases import Place
from tests.storage.loop import furnish_adapters, in_transaction, with_database


async def states(connection: AsyncConnection) -> dict[str, AdapterState]:
    return {one.name: one.state for one in await select_adapters(connection)}


def test_going_live_retires_the_one_before_and_is_audited(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_adapters(connection, "v0", "v1")
        assert await select_live(connection) is None
        await go_live(connection, "v0", "setup", "first", 1.0)
        assert await select_previous(connection) is None
        moved = await go_live(connection, "v1", "gate", "better", 2.0)
        assert moved == Release(2, "v1", "v0", "gate", "better", 2.0) == await select_live(connection)
        assert await select_previous(connection) == "v0"
        assert await states(connection) == {"v1": AdapterState.LIVE, "v0": AdapterState.RETIRED}
        assert [one.adapter for one in await select_history(connection, 5)] == ["v1", "v0"]
        [newest, _] = await select_audit(connection, 5)
        assert (newest.actor, newest.action, newest.subject, newest.detail) == ("gate", "go_live", "v1", "better")

    in_transaction(place, body)


def test_a_rollback_is_a_move_back(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_adapters(connection, "v0", "v1")
        for name in ("v0", "v1", "v0"):
            await go_live(connection, name, "ann", "", 1.0)
        assert await select_previous(connection) == "v1"
        assert await states(connection) == {"v1": AdapterState.RETIRED, "v0": AdapterState.LIVE}

    in_transaction(place, body)


def test_what_cannot_go_live_changes_nothing(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_adapters(connection, "v0")
        await go_live(connection, "v0", "ann", "", 1.0)
        with pytest.raises(LookupError, match="'v9'"):
            await go_live(connection, "v9", "ann", "", 2.0)
        with pytest.raises(ValueError, match="'v0' is already live"):
            await go_live(connection, "v0", "ann", "", 2.0)
        assert len(await select_history(connection, 5)) == len(await select_audit(connection, 5)) == 1

    in_transaction(place, body)


def test_a_move_that_fails_halfway_is_taken_back(place: Place) -> None:
    async def break_off(connection: AsyncConnection) -> None:
        await go_live(connection, "v1", "ann", "", 2.0)
        raise ConnectionError("the engine did not load it")

    async def body(db: Database) -> None:
        await db.write(lambda connection: furnish_adapters(connection, "v0", "v1"))
        before = await db.write(lambda connection: go_live(connection, "v0", "ann", "", 1.0))
        with pytest.raises(ConnectionError):
            await db.write(break_off)
        assert await db.read(select_live) == before
        candidate = await db.read(lambda connection: select_adapter(connection, "v1"))
        assert candidate is not None and candidate.state is AdapterState.CANDIDATE

    with_database(place, body)


def test_a_rollback_goes_to_the_newest_that_may_come_back(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        names = ("v0", "v1", "v2", "v3", "v4")
        await furnish_adapters(connection, *names)
        for name in names:
            await go_live(connection, name, "ann", "", 1.0)
        expected = iter(("v3", "v2", "v1", "v0", None))
        assert await select_previous(connection) == next(expected)
        for name, state in (("v3", AdapterState.QUARANTINED), ("v2", AdapterState.ERASED)):
            await update_adapter_state(connection, name, state)
            assert await select_previous(connection) == next(expected)
        for name in ("v1", "v0"):
            await connection.execute(update(adapters).where(adapters.c.name == name).values(tainted_at_s=2.0))
            assert await select_previous(connection) == next(expected)

    in_transaction(place, body)
