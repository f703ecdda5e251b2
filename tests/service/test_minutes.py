"""Answers are counted in the minute in which they were begun."""

from __future__ import annotations

from service.minutes import Minute, count
from storage.pace import Timed
from storage.records import BROKEN_OFF


def test_each_minute_has_its_answers_and_quiet_ones_have_none() -> None:
    def timed(at_s: float, reason: str = "stop") -> Timed:
        return Timed(at_s, 1.0, 2.0, reason)

    said = [timed(599.9), timed(600.0), timed(659.9, BROKEN_OFF), timed(720.0), timed(780.0)]
    assert count(said, 600.0, 3) == [Minute(600.0, 2, 1), Minute(660.0, 0, 0), Minute(720.0, 1, 0)]
