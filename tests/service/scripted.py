"""A service before a scripted engine, for tests of what operators ask for: as quick as the service itself."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPMessage
from pathlib import Path

import msgspec

from service.bench.tiny_model import make_tiny_model
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import ScriptedChat, config_for, scripted_chat


@contextmanager
def scripted_service(folder: Path, **server: object) -> Iterator[tuple[Service, ScriptedChat]]:
    """Both until the end of the block, with these settings of the server, and base live."""
    model_dir = make_tiny_model(folder / "model")
    (home := folder / "home").mkdir()
    with scripted_chat() as engine, run_service(home, config_for(engine.url, model_dir, **server)) as service:  # type: ignore[arg-type]
        yield service, engine


def ask(service: Service, text: str, key: str = "tester", **headers: str) -> tuple[dict[str, object], HTTPMessage]:
    """A plain answer with the headers that it came with."""
    body = {"model": "ratchet", "messages": [{"role": "user", "content": text}]}
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    asked = urllib.request.Request(f"{service.url}/v1/chat/completions", msgspec.json.encode(body), sent)
    with urllib.request.urlopen(asked, timeout=60) as response:
        return msgspec.json.decode(response.read()), response.headers
