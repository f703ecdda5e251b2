"""Stage 6: loaded, proved, live, and the way back. The live pointer is one row; everything else follows it.

The order makes a crash harmless: files and engine first, then the one commit, then the memory of who is live, then the
clearing up. Whatever is cut off before the commit leaves the old version live, after it the new one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import BASE, AdapterError, check_adapter
from learner.admission import MAX_ROUNDING
from learner.assignment import Standing, tried
from learner.config import ReleaseSettings
from learner.context import Context, StageError
from learner.failpoint import failpoint
from learner.train.spec import Probe
from storage import adapters, canaries, release
from storage.artifacts import ArtifactError
from storage.database import Database
from storage.records import Adapter, AdapterState, Release

DRAIN_POLL_S = 0.2
NOTHING_LIVE = "there is no live version: the service has not been set up"


Note = Callable[[AsyncConnection], Awaitable[None]]  # what is written in the transaction of a move, should it happen


class Released(Struct, frozen=True):
    adapter: str
    previous: str | None
    proof: str


class NotServed(StageError):
    """An engine answers under the candidate's name, but not with the candidate's log-probs."""


async def load(context: Context, name: str) -> None:
    """Checks the adapter's files and makes the engine serve it under its name. Raises `AdapterError`, `EngineError`."""
    adapter = await context.database.read(lambda connection: adapters.select_adapter(connection, name))
    if adapter is None:
        raise AdapterError(f"there is no adapter {name!r}")
    folder = await fetch(context, adapter)
    settings = context.settings.train
    await asyncio.to_thread(check_adapter, folder, context.model_dir, settings.rank, settings.max_change)
    began = time.perf_counter()
    await context.engine.load(name, folder)
    context.timed("load", time.perf_counter() - began)


async def fetch(context: Context, adapter: Adapter) -> Path:
    """The adapter's folder, here and proved by its hash. Raises `AdapterError`."""
    target = context.artifacts.adapter_dir(adapter.name)
    try:
        return (await asyncio.to_thread(context.artifacts.fetch, target, adapter.sha256)).resolve()
    except ArtifactError as error:
        raise AdapterError(str(error)) from error


async def folder_of(context: Context, name: str) -> Path:
    """The folder of the adapter of this name, as `fetch` has it. Raises `StageError` where there is none, and `AdapterError`."""
    return await fetch(context, await context.database.read(lambda connection: find_adapter(connection, name)))


async def prove(context: Context, name: str, probes: Sequence[Probe]) -> str:
    """Shows by log-probs that every engine serves this very adapter; gives the proof of the one furthest off, in words.

    Raises `NotServed`.
    """
    found: dict[str, list[tuple[float, float]]] = {}  # engine → how far each token is from the candidate, and from its parent
    for probe in probes:
        for url, served in (await context.engine.score_each(name, probe.token_ids, priority=0)).items():
            expected = zip(served, probe.candidate_logprobs, probe.parent_logprobs, strict=True)
            found.setdefault(url, []).extend((abs(own - candidate), abs(own - parent)) for own, candidate, parent in expected)
    proofs = [_judge_proof(name, distances) for distances in found.values() if distances]
    if not proofs:
        raise NotServed(f"{name}: there is no text to prove it by")
    return max(proofs)[1]


def _judge_proof(name: str, distances: Sequence[tuple[float, float]]) -> tuple[float, str]:
    """The mean distance of an engine's log-probs from the candidate's, in nats per token, and what is to be said of it."""
    to_candidate, to_parent = (fmean(side) for side in zip(*distances, strict=True))
    proof = f"served log-probs are {to_candidate:.4f} from the trainer's candidate and {to_parent:.4f} from its parent, per token"
    if not to_candidate < min(to_parent, MAX_ROUNDING):
        raise NotServed(f"{name}: {proof}; expected nearer to the candidate, and within {MAX_ROUNDING}")
    return to_candidate, proof


async def promote(
    context: Context,
    name: str,
    replaced: str,
    probes: Sequence[Probe],
    reason: str,
    actor: str = "cycle",
    note: Note | None = None,
) -> Released:
    """Puts a candidate live: load, prove, one commit, tell. Doing it again after a crash finishes it.

    Raises `StageError` when the version that it was made to replace is no longer the live one.
    """
    live = await live_release(context)
    if live.adapter == name:
        return Released(name, live.previous, "was live already")
    if live.adapter != replaced:
        raise StageError(f"{name} was made to replace {replaced}, but {live.adapter} is live now")
    await load(context, name)
    failpoint("release:loaded")
    proof = await prove(context, name, probes)
    failpoint("release:proved")
    moved = await go_live(context, name, actor, f"{reason}; {proof}", replaced, note)
    return Released(name, moved.previous, proof)


async def roll_back(context: Context, actor: str, to: str | None = None) -> Released:
    """Returns to the version that was live before and still may be, or to any that is retired and whose files verify.

    Raises `StageError` where there is none before, or the named one is not retired; `AdapterError` for damaged files.
    """
    live = await live_release(context)
    target = await context.database.read(release.select_previous) if to is None else await _select_retired(context, to)
    if target is None:
        raise StageError(f"there is no version before {live.adapter!r} to roll back to")
    await load(context, target)
    failpoint("rollback:loaded")
    moved = await go_live(context, target, actor, f"rolled back from {live.adapter}", live.adapter)
    return Released(moved.adapter, moved.previous, "")


async def _select_retired(context: Context, name: str) -> str:
    adapter = await context.database.read(lambda connection: find_adapter(connection, name))
    if adapter.state is not AdapterState.RETIRED:
        raise StageError(f"{name} is {adapter.state.value}, expected a retired version")
    if adapter.tainted_at_s is not None:
        raise StageError(f"{name} learnt from somebody who is forgotten: it does not come back")
    return name


async def find_adapter(connection: AsyncConnection, name: str) -> Adapter:
    """The adapter of this name. Raises `StageError` where there is none."""
    found = await adapters.select_adapter(connection, name)
    if found is None:
        raise StageError(f"there is no adapter {name!r}")
    return found


async def go_live(
    context: Context, name: str, actor: str, reason: str, replaces: str | None = None, note: Note | None = None
) -> Release:
    """The commit that moves the pointer, and the news of it, which is read in the same transaction: nobody waits for it.

    Raises `StageError` when the version may not go live, or `replaces` another one than is live by now.
    """

    async def write(connection: AsyncConnection) -> tuple[Release, Standing]:
        moved = await release.go_live(connection, name, actor, reason, context.clock(), replaces)
        if note is not None:
            await note(connection)
        return moved, await _select_standing(connection, context.settings.release)

    began = time.perf_counter()
    with deciding():
        moved, now = await context.database.write(write)
    failpoint("release:committed")
    context.announce(now)
    context.timed("flip", time.perf_counter() - began)
    return moved


@contextmanager
def deciding() -> Iterator[None]:
    """Inside, a refusal of the database's, which finds things otherwise than they were decided by, becomes a `StageError`."""
    try:
        yield
    except (LookupError, ValueError, canaries.NoSlotError) as error:
        if type(error) not in (LookupError, ValueError, canaries.NoSlotError):  # a KeyError is a mistake of ours
            raise
        raise StageError(str(error)) from error


async def tell(context: Context) -> None:
    """Tells whoever routes requests who answers by now."""
    context.announce(await standing(context.database, context.settings.release))


async def standing(database: Database, settings: ReleaseSettings) -> Standing:
    """Who answers, by the database. Raises `StageError` before anything is live."""
    return await database.read(lambda connection: _select_standing(connection, settings))


async def _select_standing(connection: AsyncConnection, settings: ReleaseSettings) -> Standing:
    live = await release.select_live(connection)
    if live is None:
        raise StageError(NOTHING_LIVE)
    found = tuple(tried(canary, settings) for canary in await canaries.select_open(connection))
    return Standing(live.adapter, await release.select_previous(connection), found)


async def drain(context: Context) -> None:
    """Lets answers of versions no longer needed finish, then takes those out of the engine.

    What `served_adapters` names stays loaded.
    """
    keep = {adapter.name for adapter in await served_adapters(context)}
    loaded = {name for name, root in (await context.engine.models()).items() if root and name not in keep}
    known = {adapter.name for adapter in await context.database.read(adapters.select_adapters)}
    for name in sorted(loaded & known):
        await unload(context, name)


async def unload(context: Context, name: str) -> None:
    """Lets the answers that a version is writing finish, for `drain_s` at most, then takes it out of the engine."""
    deadline = asyncio.get_running_loop().time() + context.settings.drain_s
    while context.in_flight(name) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(DRAIN_POLL_S)
    await context.engine.unload(name)


async def served_adapters(context: Context) -> list[Adapter]:
    """What an engine must have loaded to serve people: base, the live version, the one that a rollback returns to, and
    those that are tried.

    While the live version is tainted, also the one that a rebuild begins from.
    """
    live = await live_release(context)

    async def select(connection: AsyncConnection) -> list[Adapter]:
        clean = await adapters.select_clean_ancestor(connection, live.adapter)
        names = dict.fromkeys([BASE, live.adapter, await release.select_previous(connection), clean.name])
        names |= dict.fromkeys(canary.adapter for canary in await canaries.select_open(connection))
        found = [await adapters.select_adapter(connection, name) for name in names if name]
        return [adapter for adapter in found if adapter]

    return await context.database.read(select)


async def live_release(context: Context) -> Release:
    """The newest row of the pointer. There always is one: the service makes base live before it serves."""
    live = await context.database.read(release.select_live)
    if live is None:
        raise StageError(NOTHING_LIVE)
    return live
