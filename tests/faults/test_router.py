"""Chats through vllm-router, a router that others made: it balances them, and all engines have the adapters all the same."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.conftest import run_service
from tests.faults.scripted_chat import WORDS, config_for, scripted_chat
from tests.faults.streams import hear

ROUTER = Path(sys.executable).with_name("vllm-router")
START_S = 60
pytestmark = pytest.mark.skipif(not ROUTER.exists(), reason="vllm-router is not installed here")


@contextmanager
def routed(urls: list[str], folder: Path) -> Iterator[str]:
    """vllm-router before these engines, until the end of the block: its address."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(str(free.getsockname()[1]))
    command = [str(ROUTER), "--host", "127.0.0.1", "--port", ports[0], "--prometheus-port", ports[1]]
    command += ["--policy", "round_robin", "--worker-urls", *urls]
    with (folder / "router.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"NO_PROXY": "*"})
        try:
            deadline = time.monotonic() + START_S
            while time.monotonic() < deadline and process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", int(ports[0])), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                raise AssertionError((folder / "router.log").read_text())
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            process.terminate()
            process.wait(10)


def test_chats_go_through_the_router_and_adapters_to_every_engine(small_model: Path, tmp_path: Path) -> None:
    with scripted_chat() as first, scripted_chat() as second, routed([first.url, second.url], tmp_path) as router:
        config = config_for(first.url, small_model)
        engine = replace(config.engine, urls=(first.url, second.url), router=router)
        (tmp_path / "home").mkdir()
        with run_service(tmp_path / "home", replace(config, engine=engine)) as service:
            for stream in (True, False) * 4:
                heard = hear(service.url, stream=stream)
                assert heard.status == 200
                said = heard.text if stream else heard.events[0]["choices"][0]["message"]["content"]
                assert said == "".join(WORDS)
            assert first.loaded.keys() == second.loaded.keys() == {"base"}
            assert len(first.talks) == len(second.talks) == 4
            assert {talk.body["model"] for talk in (*first.talks, *second.talks)} == {"base"}
