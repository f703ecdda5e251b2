"""Where services share a database, what another of them made live must be live here too.

The pointer is looked at a few times a second. A version that this service's engine has is followed at once, another one
is loaded first: until then the one before answers.
"""

from __future__ import annotations

import asyncio
import logging

from learner import release
from learner.adapter import AdapterError
from learner.context import Context, StageError
from learner.engine import EngineError
from service.router import Router
from storage.artifacts import ArtifactError
from storage.database import UnavailableError

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 0.25
EXPECTED = (EngineError, AdapterError, ArtifactError, StageError, UnavailableError, OSError)


async def follow(context: Context, router: Router) -> None:
    """Keeps the router on the live version, until it is cancelled."""
    while True:
        try:
            live = await release.live_release(context)
            if live.adapter != router.live:
                await release.load(context, live.adapter)
                await release.tell(context)
                await release.drain(context)
        except EXPECTED as error:  # it may be there the next time; what is live here stays
            logger.warning("cannot follow the live version: %s", error)
        await asyncio.sleep(LOOK_EVERY_S)
