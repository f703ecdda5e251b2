"""A suite is noted once, by its hash."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.records import SuiteRecord
from storage.suites import ensure_suite, select_suites
from tests.databases import Place
from tests.storage.loop import in_transaction

FACTS = SuiteRecord("a" * 64, "facts", 1, "choice", 40, 0.05, True, 1.0)


def test_a_suite_that_is_known_stays_as_it_was(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await ensure_suite(connection, FACTS)
        await ensure_suite(connection, msgspec.structs.replace(FACTS, created_at_s=9.0, margin=0.5))
        assert await select_suites(connection) == [FACTS]

    in_transaction(place, body)


def test_a_changed_item_is_another_suite(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        changed = msgspec.structs.replace(FACTS, sha256="b" * 64, version=2)
        rules = msgspec.structs.replace(FACTS, sha256="c" * 64, name="rules")
        for suite in (rules, changed, FACTS):
            await ensure_suite(connection, suite)
        assert await select_suites(connection) == [FACTS, changed, rules]

    in_transaction(place, body)
