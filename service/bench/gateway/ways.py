"""The ways to the scripted engine that `ratchet bench gateway` compares: straight there, through Ratchet, through LiteLLM."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from learner.adapter import BASE
from service.bench.gateway.processes import GatewayError, Usage, run_server
from service.bench.tiny_model import make_tiny_model
from service.config import ADDRESS_FILE, FILE, STORAGE_URL

MOST_ANSWERS = 2000  # at once
DIRECT, RATCHET, LITELLM = "direct", "ratchet", "litellm"
PRIVATE = {  # nothing is told to anybody, or asked of the network
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it asks nobody for a key, which spares it work
}


class Way:
    """An address, the model that is asked for there, and what the process behind it uses."""

    def __init__(self, name: str, port: int, model: str, pid: int | None = None) -> None:
        self.name, self.port, self.model = name, port, model
        self._usage = Usage(pid) if pid is not None else None

    @property
    def usage(self) -> Usage:
        assert self._usage is not None, f"{self.name} has no process of its own"
        return self._usage


@contextmanager
def run_ratchet(folder: Path, engine_port: int) -> Iterator[Way]:
    """`ratchet up` as people start it, but for the engine and the learner, which stays idle."""
    home, model_dir = folder / "home", make_tiny_model(folder / "model")
    home.mkdir()
    (home / FILE).write_text(ratchet_toml(model_dir, engine_port))
    command = [sys.executable, "-m", "service.cli", "up", "--home", str(home), "--port", "0"]
    address = home / ADDRESS_FILE

    def find() -> str | None:
        return f"{address.read_text()}/health/ready" if address.is_file() and address.stat().st_size else None

    with run_server("ratchet", command, _environment(), folder / "ratchet.log", find) as (pid, url):
        yield Way(RATCHET, _port(url), "ratchet", pid)


@contextmanager
def run_litellm(folder: Path, environment_dir: Path, engine_port: int) -> Iterator[Way]:
    """LiteLLM's proxy with one worker, one model, no database and no telemetry."""
    program = environment_dir / "bin" / "litellm"
    if not program.is_file():
        raise GatewayError(f"{program} is not there: expected a virtual environment with litellm[proxy] in {environment_dir}")
    config, port = folder / "litellm.yaml", _free_port()
    config.write_text(litellm_yaml(engine_port))
    command = [str(program.absolute()), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    url = f"http://127.0.0.1:{port}/health/liveliness"
    with run_server("litellm", command, _environment(), folder / "litellm.log", lambda: url) as (pid, _):
        yield Way(LITELLM, port, "bench", pid)


def ratchet_toml(model_dir: Path, engine_port: int) -> str:
    """Ratchet's settings: as many answers at once as are asked for, and a learner that begins nothing by itself."""
    return f"""
model = "{model_dir}"
[server]
answers = {MOST_ANSWERS}
answers_per_person = {MOST_ANSWERS}
[engine]
urls = ["http://127.0.0.1:{engine_port}"]
[storage]
durability = "group"
[learner.schedule]
enabled = false
"""


def litellm_yaml(engine_port: int) -> str:
    return f"""
model_list:
  - model_name: bench
    litellm_params:
      model: openai/{BASE}
      api_base: http://127.0.0.1:{engine_port}/v1
      api_key: none
litellm_settings:
  telemetry: false
  num_retries: 0
  request_timeout: 600
"""


def _environment() -> dict[str, str]:
    """This process's, but with nothing in it that names another database."""
    return {name: value for name, value in os.environ.items() if name != STORAGE_URL} | PRIVATE


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None, f"{url} has no port"
    return port


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
