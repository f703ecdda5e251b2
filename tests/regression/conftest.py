"""`pytest tests/regression [--adapter NAME] [--against NAME]`: which versions are compared, and where they are served.

With `RATCHET_URL` and `RATCHET_KEY` (or a service running in the default home) that service's versions are tested: the
live one against base, or the ones named. Without a service, the run's own engine serves base against itself, which shows
that the suites load, run and agree.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec import Struct

from service.client import Client, ClientError


class Contest(Struct, frozen=True):
    """Two versions and the engines that have both."""

    engine_urls: list[str]
    model_dir: Path
    adapter: str
    against: str


@pytest.fixture(scope="session")
def contest(request: pytest.FixtureRequest) -> Contest:
    adapter, against = request.config.getoption("--adapter"), request.config.getoption("--against")
    try:
        with Client() as client:
            status = client.get("/api/status")
            adapter = adapter or status["live"]
            for name in {adapter, against}:
                client.post(f"/api/adapters/{name}/load")
            return Contest(status["engine_urls"], Path(status["model_dir"]), adapter, against)
    except ClientError as error:
        if adapter is not None or os.environ.get("RATCHET_URL"):
            pytest.fail(f"no version can be tested: {error}")
    return Contest([request.getfixturevalue("engine_url")], request.getfixturevalue("model_dir"), "base", against)
