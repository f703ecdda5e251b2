"""A start is told stage by stage: what it is at, and what each took."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from service.bench.tiny_model import make_tiny_model
from service.starting import Stages, StartReport
from tests.conftest import Service, run_service, wait_ready
from tests.faults.scripted_chat import config_for, scripted_chat

PATIENCE_S = 30


class HandClock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def passes(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_stage_takes_until_the_next_begins() -> None:
    clock = HandClock()
    stages = Stages(clock)
    assert stages.report() == StartReport()
    stages.begin("imports", ago_s=3)
    clock.passes(1)
    stages.begin("weights")
    clock.passes(2)
    assert stages.report() == StartReport("weights", 2, {"imports": 4})
    stages.done()
    clock.passes(5)
    assert stages.report() == StartReport(None, 0, {"imports": 4, "weights": 2})
    assert list(stages.took_s) == ["imports", "weights"]


def test_a_start_that_is_tried_again_adds_up_to_all_of_its_time() -> None:
    clock = HandClock()
    stages = Stages(clock)
    for seconds in (1, 2, 4):
        stages.begin("process")
        clock.passes(seconds)
        stages.begin("weights")
        clock.passes(10 * seconds)
    stages.done()
    assert stages.took_s == {"process": 7, "weights": 70}


def test_another_start_is_counted_from_nothing() -> None:
    clock = HandClock()
    stages = Stages(clock)
    stages.begin("process")
    clock.passes(1)
    stages.done()
    stages.done()
    stages.begin("adapters")
    clock.passes(2)
    assert stages.report() == StartReport("adapters", 2, {})


def test_readiness_says_what_is_waited_for_and_since_when(tmp_path: Path) -> None:
    model_dir = make_tiny_model(tmp_path / "model")
    with scripted_chat() as engine, run_service(tmp_path, config_for(engine.url, model_dir)) as service:
        started = ready(service)
        assert started["ready"] and started["waiting_for"] is None
        assert list(started["took_s"]) == ["engine elsewhere", "adapters", "first answer"]
        assert all(seconds >= 0 for seconds in started["took_s"].values())
        engine.loading = True
        waiting = until(service, "engine: engine elsewhere")
        assert not waiting["ready"] and waiting["took_s"] == {} and waiting["detail"] is None
        time.sleep(0.2)
        assert ready(service)["since_s"] > waiting["since_s"] >= 0
        engine.loading = False
        wait_ready(service.url, PATIENCE_S)
        assert set(ready(service)["took_s"]) == set(started["took_s"])


def ready(service: Service) -> dict[str, Any]:
    status, told = service.request("GET", "/health/ready")
    assert status == (200 if told["ready"] else 503)
    return dict(told)


def until(service: Service, waiting_for: str) -> dict[str, Any]:
    """Readiness as it is once the service waits for this."""
    deadline = time.monotonic() + PATIENCE_S
    while (told := ready(service))["waiting_for"] != waiting_for:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told
