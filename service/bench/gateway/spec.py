"""What the load of `ratchet bench gateway` is told, and what it tells: a line of JSON each way."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class Load(Struct, frozen=True):
    """Clients that each ask again once they are answered, all at the same address of this machine."""

    port: int
    model: str
    clients: int
    frames: int  # of each answer
    streamed: bool = True
    seconds: float = 0.0  # in which another answer is begun; 0 is one for each client
    answers: int | None = None  # after which none is begun either
    spread_s: float = 0.0  # in which the clients begin, evenly, so that their answers do not all begin at once
    limit_s: float = 60.0  # for one answer


class Percentiles(Struct, frozen=True):
    """Milliseconds; all 0 where there were none."""

    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, taken_ms: Sequence[float]) -> Percentiles:
        """By the nearest rank: each percentile is one that was measured."""
        if not taken_ms:
            return cls()
        ranked = sorted(taken_ms)
        p50, p99 = (ranked[int(share * (len(ranked) - 1) + 0.5)] for share in (0.5, 0.99))
        return cls(p50, p99, ranked[-1], len(ranked))


class Loaded(Struct, frozen=True):
    """What the clients saw. An answer that is not whole counts as failed, and adds to nothing but the lost frames."""

    whole: int
    failed: int
    lost_frames: int
    first_ms: Percentiles  # from the request to the first word
    gap_ms: Percentiles  # between a word and the next
    answer_ms: Percentiles  # from the request to the end
    seconds: float
    problem: str = ""  # of the first that failed
