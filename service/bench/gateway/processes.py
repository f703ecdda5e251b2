"""The processes of `ratchet bench gateway`: how they start, what they use, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import psutil

from service.bench.gateway.spec import Load, Loaded
from service.config import CHECKOUT

START_LIMIT_S = 300.0  # all of a machine may be busy
POLL_S = 0.1
END_LIMIT_S = 15.0


class GatewayError(Exception):
    """Nothing was measured; the message says what went wrong, and of whom."""


class Usage:
    """What a process uses, with the processes that it has started."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def cpu_ms(self) -> float:
        """Milliseconds of processor time so far, the kernel's included."""
        times = [process.cpu_times() for process in self._all()]
        return float(sum(one.user + one.system for one in times)) * 1000

    def rss_mb(self) -> float:
        return float(sum(process.memory_info().rss for process in self._all())) / 1e6

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


class Driver:
    """A process that makes loads."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self.pid = process, process.pid

    def run(self, load: Load) -> Loaded:
        """Returns when the last answer has ended. Raises `GatewayError` where the process does not live to tell."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # what is read next tells it
            self._process.stdin.write(msgspec.json.encode(load) + b"\n")
        line = self._process.stdout.readline()
        if not line:
            raise GatewayError(f"the load ended with status {self._process.wait()}; its messages are above")
        return msgspec.json.decode(line, type=Loaded)


@contextmanager
def run_engine() -> Iterator[int]:
    """The scripted engine; gives its port."""
    with _module("service.bench.gateway.engine") as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            raise GatewayError(f"the scripted engine ended with status {process.wait()}; its messages are above")
        yield int(port)


@contextmanager
def run_driver() -> Iterator[Driver]:
    with _module("service.bench.gateway.load") as process:
        yield Driver(process)


@contextmanager
def _module(name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when its standard input does."""
    command = [sys.executable, "-m", name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=CHECKOUT)
    try:
        yield process
    finally:
        with process:
            process.kill()


@contextmanager
def run_server(
    name: str, command: Sequence[str], environment: dict[str, str], log: Path, find: Callable[[], str | None]
) -> Iterator[tuple[int, str]]:
    """A service in a process of its own, once it is ready: (pid, URL).

    `find` gives the URL where readiness is told once that is known. Raises `GatewayError`, with the end of the log.
    """
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            cwd=CHECKOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process.pid, _wait_ready(name, process, log, find)
    finally:
        _end(process)


def _wait_ready(name: str, process: subprocess.Popen[bytes], log: Path, find: Callable[[], str | None]) -> str:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise GatewayError(f"{name} ended with status {process.returncode} at its start: {_tail(log)}")
        if (url := find()) is not None and _answers(url):
            return url
        time.sleep(POLL_S)
    raise GatewayError(f"{name} was not ready within {START_LIMIT_S:g} s: {_tail(log)}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        pass
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks it to end, and kills its group where it does not."""
    process.terminate()
    try:
        process.wait(END_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(log: Path) -> str:
    return "\n".join(["its log ends:", *log.read_text(errors="replace").strip().splitlines()[-10:]])
