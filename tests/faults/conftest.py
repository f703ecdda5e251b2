"""Engines made for tests, and a service before one of them, shared by a file's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from learner.adapter import make_zero_adapter
from learner.evaluate import appraising, scoring
from learner.jobs import run_job
from learner.runners import spec
from service.bench.tiny_model import make_tiny_model
from tests.conftest import Service, run_service, wait_ready
from tests.faults.fans import RANK, teach
from tests.faults.scripted_chat import ScriptedChat, answers, config_for, scripted_chat, served
from tests.faults.talkers import SMALL, quick_learner
from tests.suites import make_suites

SILENCE_S = 1.0  # after which the engine of `front` counts as hung


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def small_base(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zero adapter of the small model."""
    folder = tmp_path_factory.mktemp("base") / "base"
    make_zero_adapter(small_model, folder, RANK)
    return folder


@pytest.fixture(scope="session")
def taught(small_model: Path, small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model's adapter that fans would promote."""
    return teach(tmp_path_factory.mktemp("taught"), small_model, small_base)


class Taught(NamedTuple):
    """An engine, and settings of a service that teaches its model and is quick about it; `base` is what it knows as base."""

    settings: dict[str, Any]
    base: Path


@pytest.fixture(params=["small", pytest.param("built-in", marks=[pytest.mark.engine, pytest.mark.long])])
def teachable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Taught]:
    """One of a small model in each run; the real one, of the built-in model, in the long form."""
    suites = make_suites(tmp_path / "suites")
    if request.param == "built-in":
        engine = {"urls": [request.getfixturevalue("engine_url")]}
        yield Taught({"engine": engine, "learner": quick_learner(suites)}, request.getfixturevalue("base_adapter"))
        return
    from tests.faults.tiny_engine import TinyEngine  # only here: it takes seconds

    request.getfixturevalue("computes_here")
    model_dir, base = request.getfixturevalue("small_model"), request.getfixturevalue("small_base")
    with served(TinyEngine(model_dir)) as url:
        yield Taught({"model": str(model_dir), "engine": {"urls": [url]}, "learner": quick_learner(suites, **SMALL)}, base)


@pytest.fixture
def computes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cycle computes is computed in this process, which has imported what that takes: others would do so anew."""
    from learner.train import job  # only here: it takes seconds

    mains: dict[str, Callable[[Path], object]] = {appraising.__name__: appraising.main, job.__name__: job.run}

    async def run(module: str, folder: Path, *how: Any) -> None:
        if module in mains:
            await asyncio.to_thread(mains[module], folder)
        else:
            await run_job(module, folder, *how)

    monkeypatch.setattr(scoring, "run_job", run)
    monkeypatch.setattr(spec, "run_job", run)


@pytest.fixture(scope="module")
def chat_engine() -> Iterator[ScriptedChat]:
    with scripted_chat() as engine:
        yield engine


@pytest.fixture(scope="module")
def running_front(chat_engine: ScriptedChat, small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with run_service(tmp_path_factory.mktemp("home"), config_for(chat_engine.url, small_model, SILENCE_S)) as service:
        yield service


@pytest.fixture
def front(running_front: Service, chat_engine: ScriptedChat) -> Iterator[Service]:
    """The service, ready, before an engine that answers as it should until a test gives it another script."""
    chat_engine.talks.clear()
    wait_ready(running_front.url, 30)
    yield running_front
    chat_engine.script = answers
