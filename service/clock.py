"""The time everything here goes by, so that a simulation can let days pass."""

from __future__ import annotations

import time


class Clock:
    """Seconds since the Unix epoch: the system's, or the system's moved forward."""

    def __init__(self, injected: bool = False) -> None:
        self.injected = injected
        self._ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead_s

    def advance(self, seconds: float) -> float:
        """Moves the clock and returns what it says now. Raises `ValueError` for going back, or for the system's clock."""
        if not self.injected or seconds < 0:
            raise ValueError(f"only an injected clock moves, and only forward; asked for {seconds} s")
        self._ahead_s += seconds
        return self()
