"""People made of code on a real service, whose engine is a script: every call of theirs is one that it takes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from learner.simulate import simulate
from learner.simulated.home import throwaway_service
from learner.simulated.populations import POPULATIONS
from learner.simulated.rounds import Size
from service.bench.loop.measure import Runs
from service.bench.tiny_model import make_tiny_model
from tests.faults.scripted_chat import Talk, answers, scripted_chat
from tests.suites import make_suites

PEOPLE = Path(__file__).parents[1] / "people"
[POISONED] = [population for population in POPULATIONS if population.name == "poisoned"]


def test_populations_run_one_after_another_and_base_is_scored_once(tmp_path: Path) -> None:
    said: list[str] = []
    with scripted_chat() as engine:
        runs = Runs(tmp_path, settings(tmp_path, engine.url))
        first = runs(POISONED, Size(rounds=1, turns=6, heldout=2, people=3), said.append)
        scored = engine.scored
        second = runs(POISONED, Size(rounds=0, turns=0, heldout=2, people=3), said.append)
    [done] = first.rounds
    assert first.before == first.after == {"brief": 1.0} and (done.votes, done.up) == (6, 6)
    assert done.poison is not None and (done.poison.rows, done.poison.learnt, done.poison.said_after) == (14, 0, 0.0)
    assert second.rounds == [] and second.before == {"brief": 1.0}
    assert engine.scored - scored < 12 <= scored, "twelve texts are base's on the suites"


async def takes_its_time(talk: Talk) -> None:
    await asyncio.sleep(0.5)
    await answers(talk)


def test_a_running_service_is_driven_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by one person, whom it lets have eight answers at once: the others are asked for again."""
    with (
        scripted_chat() as engine,
        throwaway_service(lambda line: None, settings(tmp_path, engine.url)) as (url, key),
    ):
        engine.script = takes_its_time
        monkeypatch.setenv("RATCHET_KEY", key)
        report = simulate(PEOPLE / "brief.py", rounds=0, turns=0, heldout=12, people=1, url=url, say=lambda line: None)
    assert (report.user, report.heldout, report.rounds) == ("brief", 1.0, [])


def test_one_that_is_told_to_end_takes_its_service_and_its_home_along(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "simulate", "--user", str(PEOPLE / "brief.py")]
    simulating = psutil.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path)})
    while not (started := simulating.children()):
        assert simulating.poll() is None
        time.sleep(0.05)
    assert [*tmp_path.iterdir()] != []
    simulating.terminate()
    assert simulating.wait(60) == -signal.SIGTERM
    assert not any(service.is_running() for service in started) and [*tmp_path.iterdir()] == []


def settings(folder: Path, engine_url: str) -> str:
    model_dir, suites = make_tiny_model(folder / "model"), make_suites(folder / "suites")
    return f'model = "{model_dir}"\n[engine]\nurls = ["{engine_url}"]\n[learner]\nsuites = "{suites}"\n'
