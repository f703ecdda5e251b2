"""A second service on the same database learns of a trial, of its share, and of its end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from learner import release, rollout
from learner.assignment import Standing, Tried, assign
from service.follow import follow
from service.router import Router
from tests.databases import Place
from tests.learner.trials import Trials, trials

PATIENCE_S = 20
PEOPLE = [f"person-{number}" for number in range(200)]
Body = Callable[[Trials, Trials, Router], Awaitable[None]]


@pytest.fixture
def run(place: Place, tiny: tuple[Path, Path], tmp_path: Path) -> Callable[[Body], None]:
    """One service tries and promotes, the other, whose home and engine are its own, follows."""

    async def go(body: Body) -> None:
        where = place if isinstance(place, str) else tmp_path / "shared.db"
        async with trials(tmp_path / "first", *tiny, place=where) as first:
            shutil.copytree(tmp_path / "first", tmp_path / "second")
            async with trials(tmp_path / "second", *tiny, place=where) as second:
                router = Router(await release.standing(second.context.database, second.context.settings.release))
                following = asyncio.create_task(follow(second.context, router))
                try:
                    await body(first, second, router)
                finally:
                    following.cancel()
                    with suppress(asyncio.CancelledError):
                        await following

    return lambda body: asyncio.run(go(body))


def bring(name: str, first: Trials, second: Trials) -> None:
    """The files of a version, to the other service's home, as from a store that they share."""
    folders = (trial.context.artifacts.adapter_dir(name) for trial in (first, second))
    shutil.copytree(*folders)


async def eventually(router: Router, standing: Standing) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while router.standing != standing:
            await asyncio.sleep(0.02)


def test_a_trial_its_share_and_its_end_are_followed(run: Callable[[Body], None]) -> None:
    async def body(first: Trials, second: Trials, router: Router) -> None:
        cycle, chosen = await first.candidate()
        name = chosen.adapter
        bring(name, first, second)
        await rollout.begin(first.context, cycle, chosen)
        slot = (await first.canary(name)).slot
        await eventually(router, Standing("base", None, (Tried(name, slot, 0.05),)))
        assert name in await second.context.engine.models() and router.tries
        few = {person for person in PEOPLE if router.resolve("ratchet", person) == name}
        assert few == {person for person in PEOPLE if assign(person, first.told[-1].tried) == name} != set()

        await rollout.advance(first.context, await first.canary(name), "enough people")
        await eventually(router, Standing("base", None, (Tried(name, slot, 0.25),)))
        more = {person for person in PEOPLE if router.resolve("ratchet", person) == name}
        assert few < more, "whoever had it keeps it"

        await rollout.hold(first.context, await first.canary(name), "operator", "wait")
        await rollout.roll_back(first.context, await first.canary(name), "operator", "worse")
        await eventually(router, Standing("base", None))
        assert {router.resolve("ratchet", person, continued=name) for person in PEOPLE} == {"base"}

    run(body)


def test_a_promotion_makes_it_live_for_everybody(run: Callable[[Body], None]) -> None:
    async def body(first: Trials, second: Trials, router: Router) -> None:
        cycle, chosen = await first.candidate()
        bring(chosen.adapter, first, second)
        await rollout.begin(first.context, cycle, chosen)
        await rollout.promote(first.context, await first.canary(chosen.adapter), "canary", "better")
        await eventually(router, Standing(chosen.adapter, "base"))
        assert {router.resolve("ratchet", person) for person in PEOPLE} == {chosen.adapter}
        assert chosen.adapter in await second.context.engine.models()

    run(body)


def test_what_cannot_be_served_here_is_tried_nowhere_here_and_what_is_live_is_followed(run: Callable[[Body], None]) -> None:
    async def body(first: Trials, second: Trials, router: Router) -> None:
        await rollout.begin(first.context, *await first.candidate())  # its files never come here
        cycle, chosen = await first.candidate()
        bring(chosen.adapter, first, second)
        await rollout.begin(first.context, cycle, chosen)
        slot = (await first.canary(chosen.adapter)).slot
        await eventually(router, Standing("base", None, (Tried(chosen.adapter, slot, 0.05),)))
        answering = {router.resolve("ratchet", person) for person in PEOPLE}
        assert answering == {"base", chosen.adapter}

    run(body)
