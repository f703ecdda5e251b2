"""After somebody was forgotten: what learnt from them is replaced by what did not, and then erased.

A cycle that finds the live version tainted begins from its nearest clean ancestor, and learns once more what everybody
who is still here has taught since. Its candidate takes the tainted version's place, or else the ancestor itself does.
"""

from __future__ import annotations

import asyncio

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.context import Context
from storage import adapters, datasets, erase, lineage
from storage.records import Adapter, AdapterState, Dataset


class Basis(Struct, frozen=True):
    """What a cycle begins from."""

    live: str
    parent: str  # whom the candidate descends from and is judged against: the live version, unless that is tainted
    again: tuple[Dataset, ...]  # what the versions between the two were made of, oldest first

    @property
    def is_rebuild(self) -> bool:
        return self.parent != self.live


async def select_basis(context: Context) -> Basis:
    """The live version, or what a rebuild needs where that is tainted."""
    live = (await release.live_release(context)).adapter

    async def select(connection: AsyncConnection) -> Basis:
        parent = await adapters.select_clean_ancestor(connection, live)
        between: list[Dataset] = []
        for adapter in await lineage.select_ancestry(connection, live):
            if adapter.name == parent.name:
                break
            dataset = await datasets.select_dataset(connection, adapter.dataset_id) if adapter.dataset_id else None
            between += [dataset] if dataset else []
        return Basis(live, parent.name, tuple(reversed(between)))

    return await context.database.read(select)


async def leave_tainted(context: Context) -> str | None:
    """Puts the clean ancestor live where the live version is tainted, and says so; otherwise nothing.

    Raises `AdapterError`, `EngineError`.
    """
    basis = await select_basis(context)
    if not basis.is_rebuild:
        return None
    reason = f"{basis.live} learnt from somebody who is forgotten: {basis.parent} takes its place"
    await release.load(context, basis.parent)
    await release.go_live(context, basis.parent, "cycle", reason)
    return reason


async def erase_tainted(context: Context, cycle_id: int | None) -> None:
    """Takes tainted versions that are not live out of the engine and off the disk, and closes the receipts about them.

    The row says so last: what a crash leaves undone is done the next time. Raises `EngineError`, `ArtifactError`.
    """
    live = (await release.live_release(context)).adapter
    for adapter in await context.database.read(adapters.select_tainted):
        if adapter.name != live:
            await _erase(context, adapter)
    await context.database.write(lambda connection: erase.close_erasures(connection, cycle_id, context.clock()))
    await release.tell(context)


async def _erase(context: Context, adapter: Adapter) -> None:
    await release.unload(context, adapter.name)
    await asyncio.to_thread(context.artifacts.remove, context.artifacts.adapter_dir(adapter.name))
    erased = AdapterState.ERASED
    await context.database.write(lambda connection: adapters.update_adapter_state(connection, adapter.name, erased))
