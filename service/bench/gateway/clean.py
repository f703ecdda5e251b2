"""How many streams a way carries at once with nothing lost and nobody waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.bench.gateway.frames import PACE_MS
from service.bench.gateway.processes import Driver
from service.bench.gateway.size import Size
from service.bench.gateway.spec import Load, Loaded
from service.bench.gateway.ways import Way

LONGEST_GAP_MS = 10 * PACE_MS
BEGIN_S = 1.0  # in which all streams are begun


def count_clean_streams(driver: Driver, ways: Sequence[Way], size: Size, say: Callable[[str], None]) -> dict[str, int]:
    """By way: the most streams at once that were clean, with every smaller number clean before it; 0 for none."""
    clean = dict.fromkeys((way.name for way in ways), 0)
    left = list(ways)
    for streams in size.clean_levels:
        say(f"{streams} streams at once: {', '.join(way.name for way in left)}")
        left = [way for way in left if _carries(driver, way, streams, size)]
        clean |= dict.fromkeys((way.name for way in left), streams)
        if not left:
            break
    return clean


def is_clean(loaded: Loaded) -> bool:
    """Whether every stream came whole, and no word of it later than ten times the pace after the one before."""
    return not loaded.failed and not loaded.lost_frames and loaded.gap_ms.max <= LONGEST_GAP_MS


def _carries(driver: Driver, way: Way, streams: int, size: Size) -> bool:
    paced_s = size.clean_frames * PACE_MS / 1000
    load = Load(way.port, way.model, streams, size.clean_frames, spread_s=BEGIN_S, limit_s=3 * paced_s + 30)
    return any(is_clean(driver.run(load)) for _ in range(size.tries))
