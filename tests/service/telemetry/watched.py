"""A service that is watched, before a scripted engine, and what it shows of itself."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from service.bench.tiny_model import make_tiny_model
from service.telemetry.settings import HealthSettings, MetricsSettings
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import ScriptedChat, config_for, scripted_chat

PATIENCE_S = 60
QUICK = {"metrics": MetricsSettings(refresh_s=0.0), "health": HealthSettings(check_every_s=0.05)}
Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@contextmanager
def watched_service(folder: Path, **settings: Any) -> Iterator[tuple[Service, ScriptedChat]]:
    """Both until the end of the block, with these tables of the settings."""
    model_dir = make_tiny_model(folder / "model")
    (home := folder / "home").mkdir()
    with scripted_chat() as engine:
        config = replace(config_for(engine.url, model_dir, silence_s=5.0), **QUICK | settings)
        with run_service(home, config) as service:
            yield service, engine


Answer = tuple[int, bytes, HTTPMessage]  # status, body and headers


def fetch(service: Service, path: str, body: object = None, key: str | None = "tester", **headers: str) -> Answer:
    """One call: a POST where there is a body."""
    sent = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {}), **headers}
    data = None if body is None else msgspec.json.encode(body)
    asked = urllib.request.Request(service.url + path, data, sent)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def say(service: Service, text: str = "Which animal is the largest?", stream: bool = False, key: str = "tester") -> str:
    """Asks, and gives the answer's id."""
    body = {"model": "ratchet", "messages": [{"role": "user", "content": text}], "stream": stream}
    status, _, headers = fetch(service, "/v1/chat/completions", body, key)
    assert status == 200
    return headers["x-request-id"]


def vote(service: Service, answer: str, **said: object) -> None:
    assert fetch(service, "/v1/feedback", {"completion_id": answer, **said})[0] == 200


def figures(service: Service) -> Figures:
    """All that `/metrics` shows, by name and labels."""
    status, shown, _ = fetch(service, "/metrics", key=None)
    assert status == 200, shown
    families = text_string_to_metric_families(shown.decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def figure(found: Figures, name: str, **labels: str) -> float:
    """One of them; 0 where it is not there yet."""
    return found.get((name, frozenset(labels.items())), 0.0)


def until(true: Callable[[], bool]) -> None:
    """Returns once it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
