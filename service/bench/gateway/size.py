"""How much `ratchet bench gateway` measures."""

from __future__ import annotations

from msgspec import Struct


class Size(Struct, frozen=True):
    rounds: int = 5
    levels: tuple[int, ...] = (1, 16, 64)  # streams at once
    level_s: float = 6.0  # of each, each round and each way
    frames: int = 50  # of a stream there
    cpu_streams: int = 16  # at once, where the processor time of a stream is looked at: every way carries so many
    clean_levels: tuple[int, ...] = (16, 32, 64, 128, 192, 256, 320)  # streams at once, until a way does not carry them
    clean_frames: int = 500  # of each of these: 10 s
    tries: int = 2  # at most for each of these: whatever else the machine does may spoil one
    clients: tuple[int, ...] = (1, 4, 16, 64)  # who ask for short plain answers, one after another
    rate_s: float = 3.0
    rate_rounds: int = 3
    bounds_ms: tuple[int, ...] = (10, 50, 250)  # that 99 of 100 of these answers keep
    requests: int = 10_000  # over which memory is watched


QUICK = Size(
    rounds=1,
    level_s=0.3,
    frames=10,
    clean_levels=(16,),
    clean_frames=25,
    tries=1,
    clients=(1, 8),
    rate_s=0.3,
    rate_rounds=1,
    requests=200,
)
SHORT_FRAMES = 4  # of a short answer
