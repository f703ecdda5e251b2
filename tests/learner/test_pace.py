"""The time that is left goes by what was done since somebody looked, not by what an earlier try had done."""

from __future__ import annotations

from learner.pace import Pace


def test_the_rest_takes_as_long_as_what_was_done() -> None:
    times = iter([100.0, 110.0, 130.0])
    pace = Pace(lambda: next(times))
    assert pace.eta_s(40, 100) is None  # a run that goes on: how long these took, nobody knows
    assert pace.eta_s(50, 100) == 50.0
    assert pace.eta_s(100, 100) == 0.0
