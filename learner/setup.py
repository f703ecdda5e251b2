"""What must be there before anybody is served: base as an adapter that changes nothing, and a live pointer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import BASE, AdapterError, check_adapter, make_zero_adapter
from learner.context import Context
from learner.model import model_sha256
from learner.release import fetch, served_adapters
from storage import adapters, cycles, release
from storage.artifacts import Artifacts
from storage.connect import in_turn
from storage.database import Database
from storage.records import Adapter, AdapterState, Release

logger = logging.getLogger(__name__)


async def ensure_live(database: Database, artifacts: Artifacts, model_dir: Path, rank: int, clock: Callable[[], float]) -> Release:
    """The live pointer; a new home starts with base. Raises `AdapterError` for a home of another model or rank."""
    folder = artifacts.adapter_dir(BASE)
    if not folder.exists():
        made = artifacts.temporary_dir() / BASE
        await asyncio.to_thread(make_zero_adapter, model_dir, made, rank)
        artifacts.publish(made, folder)
    await asyncio.to_thread(check_adapter, folder, model_dir, rank)
    sha256 = await asyncio.to_thread(artifacts.sha256_of, folder)
    base_sha256 = await asyncio.to_thread(model_sha256, model_dir)
    base = Adapter(
        BASE, None, None, None, sha256, str(folder.relative_to(artifacts.home)), AdapterState.CANDIDATE, clock(), base_sha256
    )

    async def ensure(connection: AsyncConnection) -> Release:
        await in_turn(connection, "release")
        live = await release.select_live(connection)
        if live is not None:
            return live
        await adapters.insert_adapter(connection, base)
        return await release.go_live(connection, BASE, "setup", "a new home starts with base", clock())

    return await database.write(ensure)


async def adapters_to_serve(context: Context) -> Sequence[tuple[str, Path]]:
    """What an engine that starts must load: base, live, the version before it, and a running cycle's candidate."""

    async def candidates(connection: AsyncConnection) -> list[Adapter]:
        running = await cycles.select_running(connection)
        found = await adapters.select_adapters(connection)
        return [a for a in found if running and a.cycle_id == running.id and a.state is AdapterState.CANDIDATE]

    served = [*await served_adapters(context), *await context.database.read(candidates)]
    folders = [(adapter.name, await _fetch_unless_damaged(context, adapter)) for adapter in served]
    return [(name, folder) for name, folder in folders if folder is not None]


async def _fetch_unless_damaged(context: Context, adapter: Adapter) -> Path | None:
    """What only may be needed is left out when it is damaged; what people are answered by must not be missing."""
    try:
        return await fetch(context, adapter)
    except AdapterError as error:
        if adapter.name == BASE or adapter.state is AdapterState.LIVE:
            raise
        logger.warning("the engine will not serve %s: %s", adapter.name, error)
        return None
