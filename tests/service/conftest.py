"""Services are tested on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import Place


@pytest.fixture
def storage_url(place: Place) -> str | None:
    return None if isinstance(place, Path) else place
