"""`ratchet up` as a person runs it: an address is printed, a browser gets a streamed answer, nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from learner.machine import OPENMP
from storage.migrate import migrate
from tests.e2e.browser import page_at

COMMAND = [sys.executable, "-m", "service.cli"]
START_S = 300
STREAMS = 8
EXIT_S = 5
SHARED_BYTES = 30e6  # of some 300 MB that imports write
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


@pytest.mark.engine(own=True)
@pytest.mark.browser
@pytest.mark.timeout(600)
def test_up_ends_in_a_streamed_answer_and_leaves_nothing_behind(tmp_path: Path, model_dir: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "ratchet.toml").write_text("[server]\nmax_answer_tokens = 200\ncompare_share = 0.0\n")
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
            chat_through_a_restart(page, home)

        second = subprocess.run([*COMMAND, "up", "--home", str(home), "--port", "0"], capture_output=True, text=True)
        assert (second.returncode, second.stderr.count("\n")) == (1, 1) and "in use" in second.stderr

        engine = engine_processes(home)
        assert_imported_once(engine)
        with ThreadPoolExecutor(STREAMS) as pool:
            answers = [pool.submit(stream, url, f"Write a long story about {number} dogs.") for number in range(STREAMS)]
            wait_for(lambda: running_streams(home) == STREAMS)
            process.send_signal(signal.SIGTERM)
            process.wait(EXIT_S)
            endings = [answer.result() for answer in answers]
        assert not any(one.is_running() for one in engine), "the engine outlived its service"
        assert all(ending == "[DONE]" or '"error"' in ending for ending in endings), endings
        kept = ids_and_states(home)
        assert {state for _, state in kept} <= {"complete", "interrupted"} and len(kept) == STREAMS + 3

    with up(home) as process:  # killed while its engine starts, which is when most can go wrong
        read_until(process, r"^Ratchet is at (http://\S+)")
        wait_for(lambda: len(engine_processes(home)) >= 2)
        engine = engine_processes(home)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(engine, timeout=15)
        assert alive == [], "the engine outlived its service"


def assert_imported_once(engine: list[psutil.Process]) -> None:
    """What plans and what computes share what was written into memory before they were forked, as imports are."""
    for name in ("VLLM::EngineCore", "VLLM::Worker"):
        process = next(one for one in engine if one.cmdline()[0] == name)
        shared_bytes = sum(part.shared_dirty for part in process.memory_maps())
        assert not OPENMP.exists() or shared_bytes > SHARED_BYTES, f"{name} shares {shared_bytes} bytes"


def chat_through_a_restart(page: Page, home: Path) -> None:
    """The engine's core dies while it answers: what came stays, what is typed stays, and the chat goes on by itself."""
    page.get_by_test_id("prompt").fill("Write a long story about a cat and a mountain.")
    page.get_by_test_id("send").click()
    answer = page.get_by_test_id("answer").last
    expect(answer).to_have_attribute("data-state", "streaming")
    expect(answer).not_to_be_empty()
    engine = engine_processes(home)
    next(process for process in engine if process.name().startswith("VLLM::EngineCor")).kill()
    expect(answer).to_have_attribute("data-state", "interrupted", timeout=20_000)
    expect(answer).not_to_be_empty()
    expect(page.get_by_test_id("status")).to_be_visible()
    page.get_by_test_id("prompt").fill("Are you back? Say yes.")
    page.get_by_test_id("prompt").press("Enter")
    expect(page.get_by_test_id("prompt")).to_have_value("Are you back? Say yes.")
    expect(page.get_by_test_id("status")).to_be_hidden(timeout=START_S * 1000)
    assert not any(process.is_running() for process in engine), "an engine without its core goes on"
    page.get_by_test_id("prompt").press("Enter")
    expect(page.get_by_test_id("question").last).to_have_text("Are you back? Say yes.")
    expect(page.get_by_test_id("answer").last).to_have_attribute("data-state", "done", timeout=START_S * 1000)


def stream(url: str, prompt: str) -> str:
    """Asks for a stream; gives its last event, however it ended."""
    body = {"model": "ratchet", "messages": [{"role": "user", "content": prompt}], "stream": True}
    headers = {"Authorization": "Bearer tester", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=START_S) as response:
        lines = [line.decode().strip() for line in response]
    return next(line for line in reversed(lines) if line).removeprefix("data: ")


def running_streams(home: Path) -> int:
    """Answers that the engine is writing, by its own metrics."""
    port = re.findall(r"--port (\d+)", " ".join(" ".join(one.cmdline()) for one in engine_processes(home)))[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text = response.read().decode()
    running = sum(float(value) for value in re.findall(r"^vllm:num_requests_running\{[^}]*\} (\S+)", text, re.M))
    return int(running)


def ids_and_states(home: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(home / "ratchet.db")
    rows = connection.execute("SELECT id, status FROM messages WHERE role = 'assistant'").fetchall()
    connection.close()
    return rows


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


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


def test_a_newer_database_is_one_clear_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    migrate(home / "ratchet.db")
    connection = sqlite3.connect(home / "ratchet.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    failed = subprocess.run([*COMMAND, "up", "--home", str(home), "--port", "0"], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("ratchet:") and "'9999'" in failed.stderr and "Traceback" not in failed.stderr


def test_a_wrong_setting_is_one_clear_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "ratchet.toml").write_text("[server]\nprot = 8000\n")
    failed = subprocess.run([*COMMAND, "up", "--home", str(home)], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1 and "prot" in failed.stderr and "ratchet.toml" in failed.stderr
