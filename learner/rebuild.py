"""What a cycle begins from: the live version, or, for a rebuild, one that it descends from.

A rebuild learns once more what earlier cycles were taught. It is due

* when somebody was forgotten whom the live version had learnt from. It begins at the nearest clean ancestor, from those who
  are still here. Its candidate takes the tainted version's place, or else the ancestor itself does; what had learnt from
  them is then erased;
* after every so many accepted cycles, and when the live version has gone too far from base: small steps, each near the one
  before, add up, and what was learnt first fades. It begins at base. The live version stays unless the candidate is better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.adapter import BASE
from learner.config import TrainSettings
from learner.context import Context
from learner.rows import Row
from storage import adapters, canaries, cycles, datasets, erase, lineage
from storage.records import Adapter, AdapterState, Cycle, Dataset, StageName

TRIED = (AdapterState.REJECTED, AdapterState.CANARY, AdapterState.QUARANTINED)


class Basis(Struct, frozen=True):
    """What a cycle begins from."""

    live: str
    parent: str  # whom the candidate descends from
    against: str  # whom it is judged against: the live version, unless that is tainted
    again: tuple[Dataset, ...]  # what is learnt once more, oldest first
    why: str = ""  # this is a rebuild; empty where the live version is continued


async def select_basis(context: Context, cycle: Cycle) -> Basis:
    """The live version, or what a rebuild needs where one is due. The same again until the cycle has ended."""
    live = (await release.live_release(context)).adapter
    settings = context.settings.train

    async def select(connection: AsyncConnection) -> Basis:
        ancestry = await lineage.select_ancestry(connection, live)
        clean = await adapters.select_clean_ancestor(connection, live)
        if clean.name != live:
            since = [adapter.name for adapter in ancestry].index(clean.name)
            again = await _select_datasets(connection, ancestry[:since])
            return Basis(live, clean.name, clean.name, again, f"rebuilt from {clean.name}: {_tainted(live)}")
        if cycle.method == settings.method and (why := await _why_anew(connection, ancestry, settings)):
            again = tuple(await datasets.select_promoted(connection, before=cycle.id))
            return Basis(live, BASE, live, again, f"learnt anew from base: {why}")
        return Basis(live, live, live, ())

    return await context.database.read(select)


async def _select_datasets(connection: AsyncConnection, made: Sequence[Adapter]) -> tuple[Dataset, ...]:
    """What these versions, newest first, were made of, oldest first."""
    found = [await datasets.select_dataset(connection, adapter.dataset_id) for adapter in made if adapter.dataset_id]
    return tuple(dataset for dataset in reversed(found) if dataset)


async def _why_anew(connection: AsyncConnection, ancestry: Sequence[Adapter], settings: TrainSettings) -> str:
    """Why a candidate should be learnt from base although the live version, the first of its ancestry, could go on."""
    live, tried = ancestry[0], await _last_tried(connection)
    steps = sum((adapter.cycle_id or 0) > tried for adapter in ancestry)
    if not steps:  # a candidate from base was refused since the live version was made: daily learning comes first again
        return ""
    if 0 < settings.rebuild_every <= steps:
        return f"{steps} cycles were accepted since the last time"
    if (far := await _kl_base(connection, live)) > settings.kl_base_budget:
        return f"{live.name} is {far:.3f} nats per token from base, the budget is {settings.kl_base_budget:g}"
    return ""


async def _last_tried(connection: AsyncConnection) -> int:
    """The last cycle whose candidate from base was refused, then or while it was tried, or still is; 0 where there was none."""
    made = await adapters.select_adapters(connection)
    tried = [adapter for adapter in made if adapter.parent == BASE and adapter.state in TRIED]
    return max((adapter.cycle_id or 0 for adapter in tried), default=0)


class _Made(Struct, frozen=True):
    adapter: str
    measures: dict[str, float]


class _Training(Struct, frozen=True):
    """What of a training's output says how far its candidates are from base."""

    candidates: tuple[_Made, ...] = ()


async def _kl_base(connection: AsyncConnection, live: Adapter) -> float:
    """How far the version was from base when it had been trained, in nats per token; 0 where that was not measured."""
    stages = await cycles.select_stages(connection, live.cycle_id) if live.cycle_id else []
    outputs = [msgspec.convert(stage.output, _Training) for stage in stages if stage.name is StageName.TRAIN and stage.output]
    made = [candidate for output in outputs for candidate in output.candidates if candidate.adapter == live.name]
    return made[0].measures.get("kl_base", 0.0) if made else 0.0


def keep_newest(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` of the rows, which come oldest first, in their order: of each kind and vote the newest.

    Kinds that are rare stay whole; what they leave goes to the others in equal parts. So a rebuild's cost has an end.
    """
    groups: dict[tuple[str, str, int], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault((row.split, row.kind, row.label), []).append(place)
    kept: list[int] = []
    for number, places in enumerate(sorted(groups.values(), key=len)):
        share = (count - len(kept)) // (len(groups) - number)
        kept += places[len(places) - min(share, len(places)) :]
    return [rows[place] for place in sorted(kept)]


async def leave_tainted(context: Context) -> str | None:
    """Puts the clean ancestor live where the live version is tainted, and says so; otherwise nothing.

    Raises `AdapterError`, `EngineError`.
    """
    live = (await release.live_release(context)).adapter
    clean = (await context.database.read(lambda connection: adapters.select_clean_ancestor(connection, live))).name
    if clean == live:
        return None
    reason = f"{_tainted(live)}: {clean} takes its place"
    await release.load(context, clean)
    await release.go_live(context, clean, "cycle", reason)
    return reason


def _tainted(name: str) -> str:
    return f"{name} learnt from somebody who is forgotten"


async def end_tainted(context: Context) -> None:
    """Ends the trials of tainted versions: nobody is answered by them any more, and others may take their slots."""
    if await context.database.write(lambda connection: canaries.end_tainted(connection, context.clock())):
        await release.tell(context)


async def erase_tainted(context: Context, cycle_id: int | None) -> None:
    """Takes tainted versions that are not live out of the engine and off the disk, and closes the receipts about them.

    The row says so last: what a crash leaves undone is done the next time. Raises `EngineError`, `ArtifactError`.
    """
    await end_tainted(context)  # before the engine forgets them
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
