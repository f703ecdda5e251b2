"""Services are tested on both databases. What needs no engine has a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from learner.adapter import make_zero_adapter
from tests.databases import Place
from tests.learner.tiny import RANK, save_model


@pytest.fixture
def storage_url(place: Place) -> str | None:
    return None if isinstance(place, Path) else place


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny model and its adapter that changes nothing."""
    model_dir, base = save_model(tmp_path_factory.mktemp("model"), seed=1), tmp_path_factory.mktemp("adapters") / "base"
    make_zero_adapter(model_dir, base, RANK)
    return model_dir, base
