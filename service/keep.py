"""Housekeeping: once an hour what is older than the settings say goes, and once a minute the last use of keys is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from service.auth import Gatekeeper
from storage.artifacts import ArtifactError, Artifacts
from storage.database import Database, UnavailableError
from storage.retention import apply_retention
from storage.settings import StorageSettings

logger = logging.getLogger(__name__)
EVERY_S = 3600.0
USES_EVERY_S = 60.0


async def keep_house(database: Database, artifacts: Artifacts, settings: StorageSettings, clock: Callable[[], float]) -> None:
    """Removes what may go, now and every hour, until it is cancelled."""
    while True:
        try:
            removed = await apply_retention(database, artifacts, settings, clock())
            logger.info("retention removed %s", removed)
        except (ArtifactError, UnavailableError, OSError) as error:  # the next hour may do better
            logger.warning("retention could not finish: %s", error)
        await asyncio.sleep(EVERY_S)


async def keep_uses(gatekeeper: Gatekeeper) -> None:
    """Keeps when keys were last used, every minute, until it is cancelled."""
    while True:
        await asyncio.sleep(USES_EVERY_S)
        await gatekeeper.keep_uses()
