"""How long the rest takes, from how fast it went so far."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Told how much of a work is done whenever that changes; what was done before the first call took none of its time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[int, float] | None = None

    def eta_s(self, done: int, total: int) -> float | None:
        """Seconds until `total` is done; None where nothing was done yet by which to tell."""
        now_s = self._clock()
        if self._began is None:
            self._began = done, now_s
        before, began_s = self._began
        return (now_s - began_s) / (done - before) * (total - done) if done > before else None
