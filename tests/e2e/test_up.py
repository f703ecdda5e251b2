"""`ratchet up` as a person runs it: an address is printed, a browser gets a streamed answer, nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import expect

from tests.e2e.browser import page_at

COMMAND = [sys.executable, "-m", "service.cli"]
START_S = 300
# Notes, in the page, when each piece of an answer is shown, in tenths of a second: a busy machine cannot make it miss one.
NOTE_PIECES = """() => {
  window.moments = [];
  const shown = (change) => change.addedNodes.length && change.target.dataset?.testid === "answer";
  new MutationObserver((changes) => changes.some(shown) && window.moments.push(Math.floor(performance.now() / 100)))
    .observe(document.body, { childList: true, subtree: true });
}"""


@contextmanager
def up(home: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, "up", "--home", str(home), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """The first group of the first line of output that matches."""
    assert process.stdout
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found.group(1)
    raise AssertionError(f"the service ended without saying {pattern!r}")


@pytest.mark.engine
@pytest.mark.browser
@pytest.mark.timeout(600)
def test_up_ends_in_a_streamed_answer_and_a_killed_service_leaves_no_engine(tmp_path: Path, model_dir: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "ratchet.toml").write_text("[server]\nmax_answer_tokens = 96\n")
    with up(home) as process:
        url = read_until(process, r"^Ratchet is at (http://\S+)")
        with page_at(url) as page:  # the page is there while the model starts
            expect(page.get_by_test_id("status")).to_be_visible()
            assert read_until(process, r"^Ready: open (\S+)") == url
            page.evaluate(NOTE_PIECES)
            page.get_by_test_id("prompt").fill("Write a long story about a dog and a lighthouse.")
            page.get_by_test_id("send").click()
            expect(page.get_by_test_id("answer").last).to_have_attribute("data-state", "done", timeout=START_S * 1000)
            moments = page.evaluate("window.moments")
            assert len(set(moments)) > 5, f"the answer did not come piece by piece, but at {moments}"

        second = subprocess.run([*COMMAND, "up", "--home", str(home), "--port", "0"], capture_output=True, text=True)
        assert (second.returncode, second.stderr.count("\n")) == (1, 1) and "in use" in second.stderr

        engine = engine_processes(home)
        assert len(engine) >= 2
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        gone, alive = psutil.wait_procs(engine, timeout=15)
        assert alive == [], "the engine outlived its service"
        assert len(gone) == len(engine)


def engine_processes(home: Path) -> list[psutil.Process]:
    """vLLM's processes of this home: they run in its engine folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == home / "engine":
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        failed = subprocess.run([*COMMAND, "up", "--home", str(tmp_path / "home"), "--port", port], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1 and f"127.0.0.1:{port}" in failed.stderr and "--port" in failed.stderr


def test_a_wrong_setting_is_one_clear_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "ratchet.toml").write_text("[server]\nprot = 8000\n")
    failed = subprocess.run([*COMMAND, "up", "--home", str(home)], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1 and "prot" in failed.stderr and "ratchet.toml" in failed.stderr
