"""Votes and faults are credited to the version that answered, since the canary began, and to whom it answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from learner.canary import Fault
from learner.config import ReleaseSettings
from learner.observe import Observer, faults_of
from storage.answers import Given
from storage.failures import insert_failure
from storage.people import update_consent
from storage.records import BROKEN_OFF, Failure, MessageStatus, new_id
from tests.databases import Place
from tests.learner.trials import Trials, trials

Body = Callable[[Trials], Awaitable[None]]
FINE = Given(1, "r1", "ann", MessageStatus.COMPLETE, "Yes, of course.", tuple(range(20)), "stop", 20.0)


@pytest.fixture
def run(place: Place, model_dir: Path, zero_dir: Path, tmp_path: Path) -> Callable[[Body], None]:
    async def go(body: Body) -> None:
        where = None if isinstance(place, Path) else place
        async with trials(tmp_path / "home", model_dir, zero_dir, place=where) as world:
            await body(world)

    return lambda body: asyncio.run(go(body))


def observer(world: Trials) -> Observer:
    return Observer(world.context.database, world.context.settings.release, 0.8)


def test_a_vote_counts_for_the_version_that_answered_and_the_newest_counts(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        await world.answer("ann", "base", ["up"])  # before there was anything to try
        canary = await world.begin()
        looking = observer(world)
        await world.answer("ann", canary.adapter, ["up", "down", "up"])
        await world.answer("ann", canary.adapter, ["down"])
        await world.answer("ann", canary.adapter)
        await world.answer("bob", canary.adapter, ["up", None])
        await world.answer("bob", "base", ["down"])
        await world.answer("eve", "base", ["up"], adapter=canary.adapter)  # asked of one, written by another
        tried, live = await looking.observe(canary)
        assert tried.votes == {"ann": (1, 2)} and live.votes == {"bob": (0, 1), "eve": (1, 1)}
        assert tried.answers == {"ann": 3, "bob": 1} and live.answers == {"bob": 1, "eve": 1}
        await world.answer("eve", canary.adapter, ["up"])
        later, _ = await looking.observe(canary)
        assert later == (await observer(world).observe(canary))[0], "looking twice is as good as looking once"
        assert later.votes == {"ann": (1, 2), "eve": (1, 1)} and later.answers == {"ann": 3, "bob": 1, "eve": 1}

    run(body)


def test_who_does_not_let_cycles_learn_does_not_decide_either(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        canary = await world.begin()
        await world.answer("ann", canary.adapter, ["down"])
        await world.context.database.write(partial(update_consent, id="ann", learn=False))
        tried, _ = await observer(world).observe(canary)
        assert tried.votes == {} and tried.answers == {"ann": 1}

    run(body)


def test_faults_are_counted_by_person_and_what_was_deleted_is_not(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        canary = await world.begin()
        await world.answer("ann", canary.adapter, content="")
        await world.answer("ann", canary.adapter, content=" ", finish_reason="length")
        await world.answer("bob", canary.adapter, content="", status=MessageStatus.DELETED)
        tried, live = await observer(world).observe(canary)
        assert tried.faults == {Fault.EMPTY: {"ann": 2}, Fault.RUNAWAY: {"ann": 1}} and live.faults == {}
        assert tried.answers == {"ann": 2}

    run(body)


def test_an_answer_that_the_engine_never_began_is_one_with_an_error(run: Callable[[Body], None]) -> None:
    async def body(world: Trials) -> None:
        canary = await world.begin()
        looking = observer(world)
        await world.answer("ann", canary.adapter, finish_reason=BROKEN_OFF, status=MessageStatus.INTERRUPTED)
        await world.answer("ann", canary.adapter)
        await world.answer("bob", "base")
        for person, version, at_s in (("ann", canary.adapter, 9.0), ("bob", canary.adapter, 9.5), ("bob", "base", 8.9)):
            failure = Failure(new_id("chatcmpl"), version, person, at_s)
            await world.context.database.write(partial(insert_failure, failure=failure))
        for _ in range(2):  # looking again counts nothing twice
            tried, live = await looking.observe(canary)
            assert tried.faults == {Fault.ERROR: {"ann": 2, "bob": 1}} and tried.answers == {"ann": 3, "bob": 1}
            assert live.faults == {} and live.answers == {"bob": 1}, "it was before there was anything to try"

    run(body)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, set(), id="fine"),
        pytest.param({"content": " \n"}, {Fault.EMPTY}, id="empty"),
        pytest.param({"first_token_ms": 10_001.0}, {Fault.SLOW}, id="slow"),
        pytest.param({"first_token_ms": None}, set(), id="not streamed"),
        pytest.param({"token_ids": (1, 2, 3) * 9}, {Fault.REPEATING}, id="repeating"),
        pytest.param({"token_ids": (1, 1)}, set(), id="too short to repeat"),
        pytest.param({"finish_reason": "length"}, {Fault.RUNAWAY}, id="runaway"),
        pytest.param({"content": "I’m sorry, but I can't help with that."}, {Fault.REFUSED}, id="refused"),
        pytest.param({"content": "x " * 300 + "I cannot help."}, set(), id="no refusal after a long answer"),
        pytest.param(
            {"status": MessageStatus.INTERRUPTED, "finish_reason": BROKEN_OFF, "content": ""}, {Fault.ERROR}, id="broken off"
        ),
        pytest.param({"status": MessageStatus.INTERRUPTED, "finish_reason": None, "content": ""}, set(), id="the reader left"),
    ],
)
def test_what_is_wrong_with_an_answer(given: dict[str, object], expected: set[Fault]) -> None:
    assert faults_of(replace(FINE, **given), ReleaseSettings(), 0.8) == expected
