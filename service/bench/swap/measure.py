"""`ratchet bench swap`: what people notice of another version going live and of the way back, and of a restart instead.

A service with a real engine runs here, and streams run through it one after another. Versions go live under them, each one
that the engine has not met, and the live one is rolled back again. At the end the engine is killed, and comes back.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import release
from learner.adapter import BASE
from learner.config import LearnerSettings, ScheduleSettings, TrainSettings
from service.app import Parts
from service.bench.heard import Heard, ask_body, hear
from service.bench.served import ACTOR, ServedError, make_home, measure_restart, serve_here
from service.bench.swap.crowd import Crowd
from service.bench.swap.figures import Move, Size, SwapFigures, summarize
from service.config import Config
from service.settings import EngineSettings
from storage.settings import StorageSettings

PROOF = list(range(1, 65))  # token ids of a text that every model has


async def measure_swap(folder: Path, config: Config, size: Size) -> SwapFigures:
    """All figures, from a new home in the folder, of a service set up like `swap_config`.

    Raises `ServedError` where the service or its engine does not keep up.
    """
    began = time.monotonic()
    home = folder / "home"
    home.mkdir()
    versions = await make_home(home, Path(config.model), size.swaps, size.rank)
    async with aiohttp.ClientSession() as http, serve_here(home, config) as (url, parts):
        crowd = Crowd(http, url, size.streams, size.answer_tokens)
        async with crowd.talking():
            await crowd.answered_by(BASE, size.streams)
            moves = [await _swap_and_return(http, url, parts, crowd, version, size) for version in versions]
        restarts = [await measure_restart(http, url, home) for _ in range(size.restarts)]
    return summarize(crowd.heard, moves, restarts, size, time.monotonic() - began)


def swap_config(model_dir: Path, size: Size, engine: EngineSettings | None = None) -> Config:
    """A service as it comes, but that nothing happens in it by itself. The engine is one of its own where none is given."""
    return Config(
        model=str(model_dir.resolve()),
        engine=engine or EngineSettings(lora_rank=size.rank, max_model_len=size.max_model_len),
        learner=LearnerSettings(train=TrainSettings(rank=size.rank), schedule=ScheduleSettings(enabled=False)),
        storage=StorageSettings(keep_retired_adapters=size.swaps + 1),  # none is erased meanwhile
    )


async def _swap_and_return(http: aiohttp.ClientSession, url: str, parts: Parts, crowd: Crowd, version: str, size: Size) -> Move:
    """As a cycle releases: loaded, asked for a proof, which also warms it, live; and rolled back once streams had it."""
    context = parts.context
    quiet = await _quiet(2 * size.around_s)
    began = time.perf_counter()
    await context.engine.load(version, context.artifacts.adapter_dir(version).resolve())
    loaded = time.perf_counter()
    await context.engine.score(version, PROOF, priority=0)
    flip_ms, commit_ms = await _flip(parts, version)
    swapped = (began, time.perf_counter() + size.around_s)
    after = [await _ask_shortly(http, url, f"{version}, question {number:02}.") for number in range(size.after)]
    await crowd.answered_by(version, size.streams)
    leaving = time.perf_counter()
    moved = await release.roll_back(context, ACTOR)
    left = time.perf_counter()
    _check_live(parts, moved.adapter)
    await crowd.answered_by(moved.adapter, size.streams)
    await release.drain(context)
    return Move(
        version=version,
        load_ms=(loaded - began) * 1000,
        flip_ms=flip_ms,
        commit_ms=commit_ms,
        rollback_ms=(left - leaving) * 1000,
        after=after,
        swapped=swapped,
        returned=(leaving, left + size.around_s),
        quiet=quiet,
    )


async def _quiet(seconds: float) -> tuple[float, float]:
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    return began, time.perf_counter()


async def _flip(parts: Parts, version: str) -> tuple[float, float]:
    """Milliseconds until new requests are the version's, and those since the pointer was written."""
    written: list[float] = []

    async def note(_: AsyncConnection) -> None:
        written.append(time.perf_counter())

    called = time.perf_counter()
    await release.go_live(parts.context, version, ACTOR, "a swap", note=note)
    flipped = time.perf_counter()  # it returns right after the router was told
    _check_live(parts, version)
    return (flipped - called) * 1000, (flipped - written[-1]) * 1000


def _check_live(parts: Parts, version: str) -> None:
    if parts.router.resolve("ratchet") != version:
        raise ServedError(f"{version} was put live, but requests go to {parts.router.resolve('ratchet')}")


async def _ask_shortly(http: aiohttp.ClientSession, url: str, prompt: str) -> Heard:
    return await hear(http, url, "visitor", ask_body(prompt, 2, temperature=0.0))
