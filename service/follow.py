"""Where services share a database, what another of them made live must be live here too.

The pointer and what is tried are looked at a few times a second. A version that this service's engine has is followed at
once, another one is loaded first: until then those before answer.
"""

from __future__ import annotations

import asyncio
import logging

from msgspec.structs import replace

from learner import release
from learner.adapter import AdapterError
from learner.assignment import Standing, Tried
from learner.context import Context, StageError
from learner.engine import EngineError
from service.router import Router
from storage.artifacts import ArtifactError
from storage.database import UnavailableError

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 0.25
EXPECTED = (EngineError, AdapterError, ArtifactError, StageError, UnavailableError, OSError)


async def follow(context: Context, router: Router) -> None:
    """Keeps the router on what is live and what is tried, until it is cancelled."""
    while True:
        try:
            standing = await release.standing(context.database, context.settings.release)
            if standing != router.standing:
                moved = standing.live != router.live
                if moved:
                    await release.load(context, standing.live)
                router.follow(replace(standing, tried=await _served(context, router, standing)))
                if moved:
                    await release.drain(context)
        except EXPECTED as error:  # it may be there the next time; what is live here stays
            logger.warning("cannot follow the live version: %s", error)
        await asyncio.sleep(LOOK_EVERY_S)


async def _served(context: Context, router: Router, standing: Standing) -> tuple[Tried, ...]:
    """What is tried, as far as this service's engine has it: what cannot be loaded must not keep it from what is live."""
    known, served = {one.adapter for one in router.standing.tried}, []
    for one in standing.tried:
        try:
            if one.adapter not in known:
                await release.load(context, one.adapter)
            served.append(one)
        except EXPECTED as error:
            logger.warning("cannot serve %s, which is tried: %s", one.adapter, error)
    return tuple(served)
