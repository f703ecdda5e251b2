"""The two tiny models, made once, and a new home for whoever wants one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from learner.adapter import make_zero_adapter
from tests.learner.jobs import make_job
from tests.learner.tiny import RANK, save_model
from tests.learner.world import Body, learner


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), seed=1)


@pytest.fixture(scope="session")
def other_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same shapes, with other weights."""
    return save_model(tmp_path_factory.mktemp("other"), seed=2)


@pytest.fixture(scope="session")
def zero_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter that changes nothing; tests copy it before they spoil it."""
    folder = tmp_path_factory.mktemp("adapters") / "base"
    make_zero_adapter(model_dir, folder, RANK)
    return folder


@pytest.fixture(scope="session")
def alone(model_dir: Path, zero_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that one process has done; what several do together is held against it."""
    from learner.train import job  # only here: it takes seconds

    folder = make_job(tmp_path_factory.mktemp("alone") / "job", model_dir, zero_dir)
    assert job.run(folder).error is None
    return folder


@pytest.fixture
def run(tmp_path: Path, model_dir: Path, zero_dir: Path) -> Callable[[Body], None]:
    """Runs something with the context of a new home."""

    async def go(body: Body) -> None:
        (home := tmp_path / "home").mkdir()
        async with learner(home, model_dir, zero_dir) as context:
            await body(context)

    return lambda body: asyncio.run(go(body))
