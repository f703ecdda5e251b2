"""Versions that are tried: three at most, each move as it was decided or not at all, and each with a word in the audit log."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import select_adapter, select_adapters
from storage.audit import select_audit
from storage.canaries import (
    NoSlotError,
    end_canary,
    insert_canary,
    insert_step,
    select_canaries,
    select_canary,
    select_canary_of_cycle,
    select_open,
    select_steps,
    settle_cycle,
    update_canary,
)
from storage.cycles import insert_cycle, select_cycle, update_cycle
from storage.records import AdapterState, Canary, CanaryState, CanaryStep, CycleState
from storage.release import go_live, was_live
from tests.databases import Place
from tests.storage.loop import furnish_adapters, in_transaction

NAMES = ("v1", "v2", "v3", "v4")


async def furnish_trials(connection: AsyncConnection) -> None:
    """`base` is live; a staged cycle for each of the others."""
    await furnish_adapters(connection, "base", *NAMES)
    await go_live(connection, "base", "setup", "", 1.0)
    for _ in NAMES:
        cycle = await insert_cycle(connection, "manual", "mixed", 1.0)
        await update_cycle(connection, cycle.id, state=CycleState.STAGED, reasons=("fit",))


async def begin(connection: AsyncConnection, name: str) -> Canary:
    return await insert_canary(connection, name, "base", NAMES.index(name) + 1, CanaryState.RUNNING, 2.0, "fit")


def test_three_are_tried_at_once_in_slots_of_their_own(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        tried = [await begin(connection, name) for name in NAMES[:3]]
        assert {one.slot for one in tried} == {0, 1, 2} and await select_open(connection) == tried
        with pytest.raises(NoSlotError, match="v1, v2, v3 are being tried; expected at most 3 at once"):
            await begin(connection, "v4")
        await end_canary(connection, tried[1], CanaryState.ENDED, AdapterState.REJECTED, "ann", "enough", 3.0)
        assert (await begin(connection, "v4")).slot == tried[1].slot
        assert [one.adapter for one in await select_open(connection)] == ["v1", "v3", "v4"]

    in_transaction(place, body)


def test_a_move_that_somebody_else_came_before_changes_nothing(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        seen = await begin(connection, "v1")
        now = await update_canary(connection, seen, replace(seen, stage=1, reason="enough people"), "ann", "advance", 3.0)
        assert await select_canary(connection, "v1") == now
        entries = await select_audit(connection, 99)
        assert (entries[0].actor, entries[0].action, entries[0].subject) == ("ann", "canary.advance", "v1")
        with pytest.raises(LookupError, match="v1 is no longer running in stage 0"):
            await update_canary(connection, seen, replace(seen, state=CanaryState.HELD), "bob", "hold", 4.0)
        assert await select_canary(connection, "v1") == now and await select_audit(connection, 99) == entries

    in_transaction(place, body)


def test_going_live_ends_the_trial_and_those_against_what_is_replaced(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        for name in ("v1", "v2"):
            await begin(connection, name)
        await go_live(connection, "v1", "gate", "better", 5.0, replaces="base")
        second, first = await select_canaries(connection, 9)
        assert (first.state, first.ended_at_s, first.reason) == (CanaryState.PROMOTED, 5.0, "better")
        assert (second.state, second.ended_at_s) == (CanaryState.ENDED, 5.0)
        states = {one.name: one.state for one in await select_adapters(connection)}
        assert (states["v1"], states["v2"], states["base"]) == (AdapterState.LIVE, AdapterState.REJECTED, AdapterState.RETIRED)
        assert await was_live(connection, "base") and not await was_live(connection, "v2")

    in_transaction(place, body)


def test_going_back_leaves_trials_alone(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        await go_live(connection, "v1", "gate", "", 1.0)
        tried = await insert_canary(connection, "v2", "v1", 2, CanaryState.RUNNING, 2.0, "fit")
        await go_live(connection, "base", "ann", "", 3.0)
        assert await select_open(connection) == [tried]

    in_transaction(place, body)


def test_what_is_to_replace_another_version_does_not_go_live(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        with pytest.raises(ValueError, match="v1 was to replace v2, but base is live now"):
            await go_live(connection, "v1", "gate", "", 2.0, replaces="v2")
        found = await select_adapter(connection, "v1")
        assert found is not None and found.state is AdapterState.CANDIDATE

    in_transaction(place, body)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [(CanaryState.PROMOTED, CycleState.PROMOTED), (CanaryState.ROLLED_BACK, CycleState.REJECTED)],
)
def test_a_staged_cycle_ends_as_its_trial_does(place: Place, ended: CanaryState, expected: CycleState) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        tried = await begin(connection, "v1")
        await settle_cycle(connection, 1)
        cycle = await select_cycle(connection, 1)
        assert cycle is not None and cycle.state is CycleState.STAGED
        await end_canary(connection, tried, ended, AdapterState.RETIRED, "ann", "so it was", 3.0)
        await settle_cycle(connection, 1)  # again is harmless
        cycle = await select_cycle(connection, 1)
        assert cycle is not None and (cycle.state, cycle.reasons) == (expected, ("fit", "so it was"))

    in_transaction(place, body)


def test_a_cycle_that_was_cancelled_meanwhile_stays_so(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        tried = await begin(connection, "v1")
        await update_cycle(connection, 1, state=CycleState.CANCELLED)
        await end_canary(connection, tried, CanaryState.ENDED, AdapterState.REJECTED, "ann", "", 3.0)
        cycle = await select_cycle(connection, 1)
        assert cycle is not None and cycle.state is CycleState.CANCELLED

    in_transaction(place, body)


def test_moves_are_kept_in_their_order_with_what_was_known(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_trials(connection)
        first, second = await begin(connection, "v1"), await begin(connection, "v2")
        known: dict[str, object] = {"people": 3, "votes": {"delta": 0.1}}
        given = [
            CanaryStep(0, first.id, 3.0, "advance", 0, 0.05, "canary", "enough", known),
            CanaryStep(0, second.id, 4.0, "hold", 0, 0.05, "operator", "wait"),
            CanaryStep(0, first.id, 5.0, "promote", 1, 0.25, "operator", "good"),
        ]
        for step in given:
            await insert_step(connection, step)
        steps = await select_steps(connection, first.id)
        assert [replace(step, id=0) for step in steps] == [given[0], given[2]]
        assert await select_canary_of_cycle(connection, 2) == second and await select_canary_of_cycle(connection, 4) is None

    in_transaction(place, body)
