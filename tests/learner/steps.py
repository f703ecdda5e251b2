"""Every step of a release, in a process that a failpoint may end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from learner import quarantine, release, rollout
from learner.failpoint import VARIABLE
from tests.learner.trials import Trials, trials

FIRST, SECOND = "r1-00000000", "r2-00000000"  # live, and tried against it


async def prepare(world: Trials) -> None:
    """One version that was promoted over base, and one that is tried."""
    await rollout.promote(world.context, await world.begin(), "test", "good")
    await world.begin(live=FIRST)


async def _begin(world: Trials) -> None:
    await world.begin(live=FIRST)


async def _advance(world: Trials) -> None:
    await rollout.advance(world.context, await world.canary(SECOND), "enough people")


async def _hold(world: Trials) -> None:
    await rollout.hold(world.context, await world.canary(SECOND), "operator", "wait")


async def _resume(world: Trials) -> None:
    await _hold(world)
    await rollout.resume(world.context, await world.canary(SECOND), "operator", "go on")


async def _promote(world: Trials) -> None:
    await rollout.promote(world.context, await world.canary(SECOND), "canary", "better")


async def _roll_back_trial(world: Trials) -> None:
    await rollout.roll_back(world.context, await world.canary(SECOND), "canary", "worse")


async def _roll_back(world: Trials) -> None:
    await release.roll_back(world.context, "operator", to="base")


async def _quarantine(world: Trials) -> None:
    await quarantine.quarantine(world.context, FIRST, "operator", "rude")


async def _roll_back_and_quarantine(world: Trials) -> None:
    await _roll_back(world)
    await _quarantine(world)


async def _restore(world: Trials) -> None:
    await _quarantine(world)
    await quarantine.restore(world.context, FIRST, "operator", "not rude")


STEPS: dict[str, tuple[Callable[[Trials], Awaitable[None]], tuple[str, ...]]] = {
    "begin": (_begin, ("canary:loaded", "canary:proved", "canary:begun")),
    "advance": (_advance, ("canary:advance:decided", "canary:advance:committed")),
    "hold": (_hold, ("canary:hold:decided", "canary:hold:committed")),
    "resume": (_resume, ("canary:resume:decided", "canary:resume:committed")),
    "promote": (_promote, ("release:loaded", "release:proved", "release:committed")),
    "roll_back_trial": (_roll_back_trial, ("canary:roll_back:decided", "canary:roll_back:committed")),
    "roll_back": (_roll_back, ("rollback:loaded", "release:committed")),
    "quarantine": (_quarantine, ("quarantine:loaded", "quarantine:replaced", "quarantine:committed")),
    "roll_back_and_quarantine": (_roll_back_and_quarantine, ("quarantine:loaded", "quarantine:committed")),
    "restore": (_restore, ("restore:committed",)),
}


def take_step(home: Path, model_dir: Path, base: Path, step: str, place: str) -> None:
    """Takes a step in a home that was prepared, and is killed at the place."""

    async def run() -> None:
        async with trials(home, model_dir, base) as world:
            os.environ[VARIABLE] = place
            await STEPS[step][0](world)

    asyncio.run(run())
