"""A service before a scripted engine, shared by a file's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from learner.adapter import make_zero_adapter
from learner.evaluate import appraising, scoring
from learner.jobs import run_job
from service.bench.tiny_model import make_tiny_model
from tests.conftest import Service, run_service, wait_ready
from tests.faults.fans import RANK, teach
from tests.faults.scripted_chat import ScriptedChat, answers, config_for, scripted_chat

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


@pytest.fixture
def appraises_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out votes are asked in this process, which has imported what that takes: a process of its own would do so anew."""

    async def run(module: str, folder: Path, *how: Any) -> None:
        if module == appraising.__name__:
            await asyncio.to_thread(appraising.main, folder)
        else:
            await run_job(module, folder, *how)

    monkeypatch.setattr(scoring, "run_job", run)


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
