"""Streams at the engine's pace, so many at once: when the first word comes, how even the others, and what each costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import msgspec
from msgspec import Struct

from service.bench.gateway.frames import PACE_MS
from service.bench.gateway.processes import Driver, GatewayError
from service.bench.gateway.size import Size
from service.bench.gateway.spec import Load, Loaded, Percentiles
from service.bench.gateway.ways import DIRECT, Way
from service.bench.learner.run import turned

WARM_UP_S = 0.5


class Level(Struct, frozen=True):
    """By round: milliseconds of the first word and of gaps. What a stream cost of processor time is over all rounds."""

    first_ms: list[Percentiles]
    gap_ms: list[Percentiles]
    cpu_ms: float | None  # null for the direct way
    streams: int  # that were read to their end


def measure_levels(driver: Driver, ways: Sequence[Way], size: Size, say: Callable[[str], None]) -> dict[str, dict[str, Level]]:
    """By way, then by streams at once. The ways take turns, each round in another order."""
    rounds: dict[str, dict[str, list[tuple[Loaded, float]]]] = {way.name: {str(n): [] for n in size.levels} for way in ways}
    for number in range(size.rounds):
        for streams in size.levels:
            say(f"round {number + 1} of {size.rounds}: {streams} streams")
            for way in turned(ways, number):
                rounds[way.name][str(streams)].append(_hold(driver, way, streams, size))
    return {name: {streams: _level(name, runs) for streams, runs in levels.items()} for name, levels in rounds.items()}


def middle(rounds: Sequence[Percentiles]) -> dict[str, float]:
    """Each percentile's median over rounds."""
    return {"p50": median(one.p50 for one in rounds), "p99": median(one.p99 for one in rounds)}


def added(direct: Sequence[Percentiles], through: Sequence[Percentiles]) -> dict[str, float]:
    """The median over rounds of what each percentile is more by. May be under 0, by what chance makes of two runs."""
    return middle([Percentiles(b.p50 - a.p50, b.p99 - a.p99) for a, b in zip(direct, through, strict=True)])


def whole(way: Way, load: Load, loaded: Loaded) -> Loaded:
    """The same again. Raises `GatewayError` where an answer was not whole: the others would be no figure of what was asked."""
    if loaded.failed or not loaded.whole:
        asked = loaded.failed + loaded.whole
        raise GatewayError(
            f"{way.name}: {loaded.failed} of {asked} answers at {load.clients} at once were not whole, expected all; "
            f"{loaded.lost_frames} frames lost. The first: {loaded.problem or 'none was asked for'}"
        )
    return loaded


def _hold(driver: Driver, way: Way, streams: int, size: Size) -> tuple[Loaded, float]:
    """What the clients saw, and the processor time in ms. They begin one after another, as people do."""
    spread_s = size.frames * PACE_MS / 1000
    load = Load(way.port, way.model, streams, size.frames, seconds=spread_s + size.level_s, spread_s=spread_s)
    warm_up = msgspec.structs.replace(load, seconds=min(WARM_UP_S, size.level_s), spread_s=0.0, frames=2)
    whole(way, warm_up, driver.run(warm_up))
    before_ms = way.usage.cpu_ms() if way.name != DIRECT else 0.0
    loaded = whole(way, load, driver.run(load))
    return loaded, way.usage.cpu_ms() - before_ms if way.name != DIRECT else 0.0


def _level(name: str, runs: Sequence[tuple[Loaded, float]]) -> Level:
    streams = sum(loaded.whole for loaded, _ in runs)
    cpu_ms = sum(used for _, used in runs) / streams if name != DIRECT else None
    return Level([loaded.first_ms for loaded, _ in runs], [loaded.gap_ms for loaded, _ in runs], cpu_ms, streams)
