"""`ratchet engine`: vLLM alone, and the question whether it works."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli import parser
from service.supervisor import NOBODY
from tests.learner.scripted import Scripted
from tests.service.command_line import run

CHECKOUT = Path(__file__).parents[2]
STAND_IN = """
import json, os, sys
print(json.dumps({"pid": os.getpid(), "argv": sys.argv[1:], "adapters": os.environ["VLLM_ALLOW_RUNTIME_LORA_UPDATING"]}))
"""


@pytest.fixture
def engine() -> Iterator[Scripted]:
    """One that runs in a thread of its own."""
    loop, scripted = asyncio.new_event_loop(), Scripted()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(scripted.start(), loop).result(30)
    yield scripted
    scripted.hangs = False
    asyncio.run_coroutine_threadsafe(scripted.die(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def port_of(engine: Scripted) -> str:
    return engine.url.rpartition(":")[2]


def test_it_becomes_vllm_with_ratchets_arguments(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    place = tmp_path / "vllm" / "entrypoints" / "openai"
    place.mkdir(parents=True)
    for package in (tmp_path / "vllm", place.parent, place):
        (package / "__init__.py").touch()
    (place / "api_server.py").write_text(STAND_IN)
    (tmp_path / "ratchet.toml").write_text(f'model = "{tiny[0]}"\n[engine]\nmax_loras = 3\n')
    command = [sys.executable, "-m", "service.cli", "engine", "--home", str(tmp_path), "--host", "10.0.0.7", "--port", "81"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE) as process:
        told = json.loads(process.communicate(timeout=120)[0])
    assert told["pid"] == process.pid, "signals must reach vLLM itself"
    assert told["adapters"] == "True"
    words = " ".join(told["argv"])
    assert f"--model {tiny[0]}" in words and "--host 10.0.0.7 --port 81" in words and "--max-loras 3" in words


def test_only_its_own_machine_reaches_it_if_nothing_else_is_said() -> None:
    assert parser().parse_args(["engine"]).host == "127.0.0.1"


def test_the_check_asks_for_a_step(engine: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ratchet.toml").write_text("[engine]\nhang_timeout_s = 0.5\n")
    check = ("engine", "--check", "--home", str(tmp_path), "--port", port_of(engine))
    engine.loaded[NOBODY] = ""
    assert run(*check) == 0 and engine.asked == [NOBODY]

    engine.hangs = True  # its /health goes on saying that all is well
    assert run(*check) == 1
    assert "made no step in 0.5 s" in capsys.readouterr().err


def test_the_check_says_that_nothing_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("engine", "--check", "--home", str(tmp_path), "--port", "1") == 1
    assert "ratchet: the engine at http://127.0.0.1:1 does not work: the engine does not answer" in capsys.readouterr().err
