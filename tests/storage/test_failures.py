"""Answers that never came are counted by version and person, from a time on, until nothing is tried any more."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.canaries import end_canary, insert_canary
from storage.cycles import insert_cycle
from storage.failures import count_failures, insert_failure
from storage.people import insert_person
from storage.records import AdapterState, Canary, CanaryState, Failure, new_id
from storage.release import go_live
from tests.databases import Place
from tests.storage.loop import furnish_adapters, in_transaction, person


async def fail(connection: AsyncConnection, *failed: tuple[str, str, float]) -> None:
    for adapter, who, at_s in failed:
        await insert_failure(connection, Failure(new_id("chatcmpl"), adapter, who, at_s))


async def furnish_trials(connection: AsyncConnection) -> list[Canary]:
    """`base` is live, two versions are tried, and `ann` and `bob` are here."""
    await furnish_adapters(connection, "base", "v1", "v2")
    await go_live(connection, "base", "setup", "", 1.0)
    for name in ("ann", "bob"):
        await insert_person(connection, person(name))
    tried = []
    for name in ("v1", "v2"):
        cycle = await insert_cycle(connection, "manual", "mixed", 1.0)
        tried.append(await insert_canary(connection, name, "base", cycle.id, CanaryState.RUNNING, 2.0, "fit"))
    return tried


def test_they_are_counted_by_version_and_person_since_a_time(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        await fail(connection, ("v1", "ann", 1.9), ("v1", "ann", 2.0), ("v1", "ann", 3.0), ("v1", "bob", 3.0), ("v2", "bob", 3.0))
        assert await count_failures(connection, ("v1", "base"), 2.0) == {"v1": {"ann": 2, "bob": 1}, "base": {}}

    in_transaction(place, body)


def test_they_go_with_the_last_trial_and_not_before(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        first, second = await furnish_trials(connection)
        await fail(connection, ("v2", "bob", 3.0))
        await end_canary(connection, first, CanaryState.ROLLED_BACK, AdapterState.QUARANTINED, "ann", "worse", 4.0)
        assert await count_failures(connection, ("v2",), 2.0) == {"v2": {"bob": 1}}
        await end_canary(connection, second, CanaryState.ROLLED_BACK, AdapterState.QUARANTINED, "ann", "worse", 4.0)
        assert await count_failures(connection, ("v2",), 2.0) == {"v2": {}}

    in_transaction(place, body)
