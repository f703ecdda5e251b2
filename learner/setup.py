"""What must be there before anybody is served: base as an adapter that changes nothing, and a live pointer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import BASE, check_adapter, make_zero_adapter
from learner.context import Context
from learner.release import served_adapters
from storage import adapters, cycles, release
from storage.artifacts import Artifacts
from storage.database import Database
from storage.records import Adapter, AdapterState, Release


async def ensure_live(database: Database, artifacts: Artifacts, model_dir: Path, rank: int, clock: Callable[[], float]) -> Release:
    """The live pointer; a new home starts with base. Raises `AdapterError` for a home of another model or rank."""
    folder = artifacts.adapter_dir(BASE)
    if not folder.exists():
        made = artifacts.temporary_dir() / BASE
        await asyncio.to_thread(make_zero_adapter, model_dir, made, rank)
        artifacts.publish(made, folder)
    await asyncio.to_thread(check_adapter, folder, model_dir, rank)
    sha256 = await asyncio.to_thread(artifacts.sha256_of, folder)
    base = Adapter(BASE, None, None, None, sha256, str(folder.relative_to(artifacts.home)), AdapterState.CANDIDATE, clock())

    async def ensure(connection: AsyncConnection) -> Release:
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
    return [(adapter.name, context.artifacts.adapter_dir(adapter.name).resolve()) for adapter in served]
