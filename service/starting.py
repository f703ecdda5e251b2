"""What a start is made of: which stage it is at, and how long each took. Told by `/health/ready` and by `ratchet up`."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct


class StartReport(Struct, frozen=True):
    """`stage` is what a start is at, for `since_s`; None once it is done. `took_s` has the stages that are over, in order."""

    stage: str | None = None
    since_s: float = 0.0
    took_s: dict[str, float] = {}


class Stages:
    """The stages of a start, by a clock that no change of the time of day moves.

    A stage begun again, by a start that had to be tried again, adds to what it took before, so that the stages together
    are the whole time. What begins after `done` is another start, counted from nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.current: str | None = None
        self.took_s: dict[str, float] = {}  # of the stages that are over
        self._clock = clock
        self._begun_s = 0.0  # by the clock, when the current stage began

    def begin(self, stage: str, ago_s: float = 0.0) -> None:
        """Ends the stage that is current, if one is, and begins another; `ago_s` is for one that ran before anybody counted."""
        if self.current is None:
            self.took_s = {}
        self._end_current()
        self.current, self._begun_s = stage, self._clock() - ago_s

    def done(self) -> None:
        """Ends the last stage. Harmless where none is current."""
        self._end_current()
        self.current = None

    def report(self) -> StartReport:
        since_s = 0.0 if self.current is None else self._clock() - self._begun_s
        return StartReport(self.current, since_s, dict(self.took_s))

    def _end_current(self) -> None:
        if self.current is not None:
            took_s = self._clock() - self._begun_s
            self.took_s[self.current] = self.took_s.pop(self.current, 0.0) + took_s
