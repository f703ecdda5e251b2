"""The audit is read page by page, newest first, all of it or one kind."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.audit import count_actions, insert_audit, select_audit
from tests.databases import Place
from tests.storage.loop import in_transaction

ACTIONS = ("go_live", "canary.hold", "data.export", "canary.resume", "canary.hold")


def test_pages_of_a_kind_follow_each_other(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for number, action in enumerate(ACTIONS):
            await insert_audit(connection, "operator", action, f"r{number}", "", float(number))
        newest = await select_audit(connection, 2)
        assert [entry.subject for entry in newest] == ["r4", "r3"]
        assert [entry.subject for entry in await select_audit(connection, 9, before=newest[-1].id)] == ["r2", "r1", "r0"]
        assert [entry.subject for entry in await select_audit(connection, 9, kind="canary")] == ["r4", "r3", "r1"]
        assert [entry.subject for entry in await select_audit(connection, 9, newest[0].id, "canary.hold")] == ["r1"]
        assert await select_audit(connection, 9, kind="%") == []
        assert await count_actions(connection) == {"canary.hold": 2, "canary.resume": 1, "data.export": 1, "go_live": 1}

    in_transaction(place, body)
