"""A service of a simulation's own, in a home that goes away with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from learner.simulated.user import SimulationError

START_LIMIT_S = 600.0
END_LIMIT_S = 30.0
POLL_S = 0.5
NOT_COPIED = ("address", "engine", "lock", "service.log")  # of a home: what belongs to the service that runs there

Say = Callable[[str], None]


@contextmanager
def throwaway_service(say: Say, settings: str = "", like: Path | None = None) -> Iterator[tuple[str, str]]:
    """A service in a home that goes away: (url, operator key). It begins as a copy of the home `like`, where one is given.

    Raises `SimulationError` where it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ratchet-simulate-") as name:
        home = Path(name)
        if like is not None:
            shutil.copytree(like, home, ignore=shutil.ignore_patterns(*NOT_COPIED), dirs_exist_ok=True)
        with serve_home(home, say, settings) as served:
            yield served


@contextmanager
def serve_home(home: Path, say: Say, settings: str = "") -> Iterator[tuple[str, str]]:
    """A service with default trust settings and an injected clock, until the end of the block: (url, operator key).

    `settings` are more of them, in TOML. Raises `SimulationError` where it does not start.
    """
    (home / "ratchet.toml").write_text(f'clock = "injected"\n{settings}[learner.schedule]\nenabled = false\n')
    log = (home / "service.log").open("wb")
    command = [sys.executable, "-m", "service.cli", "up", "--home", str(home), "--port", "0"]
    surroundings = {**os.environ, "RATCHET_ADMIN_KEY": ""}  # the home makes its own key
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=surroundings)
    try:
        url = _wait_ready(process, home, say)
        yield url, (home / "operator.key").read_text().strip()
    finally:
        process.terminate()
        try:
            process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_ready(process: subprocess.Popen[bytes], home: Path, say: Say) -> str:
    say("starting the service and its engine")
    started_s = time.monotonic()
    while time.monotonic() - started_s < START_LIMIT_S:
        if process.poll() is not None:
            lines = (home / "service.log").read_text(errors="replace").strip().splitlines()
            raise SimulationError(f"the service ended at its start: {lines[-1] if lines else 'without a word'}")
        address = home / "address"
        if address.is_file():
            try:
                with urllib.request.urlopen(f"{address.read_text().strip()}/health/ready", timeout=5):
                    return address.read_text().strip()
            except (urllib.error.URLError, OSError):
                pass
        time.sleep(POLL_S)
    raise SimulationError(f"the service was not ready within {START_LIMIT_S:g} s")
