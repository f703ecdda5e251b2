"""A service in a process of its own, which may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from learner.failpoint import VARIABLE
from service.client import Client

LIMIT_S = 180


class Killable:
    """A service in a process of its own that a failpoint may end."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, failpoint: str | None = None) -> Client:
        """Returns once it has an address, as its operator; it may not be ready yet."""
        log = (self.home / "service.log").open("ab")
        command = [sys.executable, "-m", "service.cli", "up", "--home", str(self.home), "--port", "0"]
        environment = {**os.environ, **({VARIABLE: failpoint} if failpoint else {})}
        (self.home / "address").unlink(missing_ok=True)
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        log.close()
        deadline = time.monotonic() + LIMIT_S
        while not (self.home / "address").exists() and time.monotonic() < deadline and self.is_alive():
            time.sleep(0.05)
        return Client(home=self.home)

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_killed(self) -> None:
        assert self.process is not None
        assert self.process.wait(LIMIT_S) == -signal.SIGKILL

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.is_alive():
            self.process.terminate()
            self.process.wait(30)
