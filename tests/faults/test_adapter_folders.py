"""An adapter's folder that is missing or damaged on disk: nobody is answered by it, and nobody by another version unasked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from learner import release
from learner.adapter import BASE, WEIGHTS, AdapterError
from service.bench.random_adapter import make_random_adapter
from tests.adapters import published
from tests.conftest import Service, run_service, wait_ready
from tests.faults.scripted_chat import ScriptedChat, config_for
from tests.faults.streams import hear

PATIENCE_S = 60
Spoil = Callable[[Path], object]


def cut_off(folder: Path) -> None:
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])


WAYS = [pytest.param(shutil.rmtree, id="missing"), pytest.param(cut_off, id="cut off")]


@pytest.fixture
def served(chat_engine: ScriptedChat, small_model: Path, tmp_path: Path) -> Iterator[Service]:
    chat_engine.loaded.clear()
    with run_service(tmp_path, config_for(chat_engine.url, small_model)) as service:
        yield service


@pytest.fixture
def publish(served: Service, small_model: Path, tmp_path: Path) -> Callable[[int], str]:
    """Makes a candidate that is like no other; gives its name."""

    def make(seed: int) -> str:
        folder = make_random_adapter(small_model, tmp_path / f"made-{seed}", 16, seed, scale=0.01)
        return served.call(published(served.parts.context, folder))

    return make


def put_live(service: Service, name: str) -> None:
    service.call(release.load(service.parts.context, name))
    service.call(release.go_live(service.parts.context, name, "test", "a test"))


def folder_of(service: Service, name: str) -> Path:
    return service.parts.context.artifacts.adapter_dir(name)


def start_again(engine: ScriptedChat, service: Service) -> None:
    """The engine forgets what it has loaded, and the service has noticed."""
    engine.loading = True
    wait_until(lambda: service.request("GET", "/health/ready")[0] == 503)
    engine.loaded.clear()
    engine.loading = False


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("spoil", WAYS)
def test_without_its_live_version_a_service_waits_says_why_and_comes_back_by_itself(
    served: Service, chat_engine: ScriptedChat, publish: Callable[[int], str], tmp_path: Path, spoil: Spoil
) -> None:
    name = publish(1)
    put_live(served, name)
    folder = folder_of(served, name)
    shutil.copytree(folder, tmp_path / "whole")
    spoil(folder)
    start_again(chat_engine, served)
    wait_until(lambda: name in (served.request("GET", "/health/ready")[1]["detail"] or ""))
    refused = hear(served.url)
    assert (refused.status, refused.error["code"]) == (503, "not_ready") and "retry-after" in refused.headers
    assert name not in chat_engine.loaded
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tmp_path / "whole", folder)
    wait_ready(served.url, PATIENCE_S)
    assert chat_engine.loaded[name] == str(folder)
    assert hear(served.url).events[0]["model"] == f"ratchet@{name}"


@pytest.mark.parametrize("spoil", WAYS)
def test_without_the_version_before_people_are_answered_and_nothing_goes_back_to_it(
    served: Service, chat_engine: ScriptedChat, publish: Callable[[int], str], spoil: Spoil
) -> None:
    before, live = publish(1), publish(2)
    put_live(served, before)
    put_live(served, live)
    spoil(folder_of(served, before))
    start_again(chat_engine, served)
    wait_ready(served.url, PATIENCE_S)
    assert set(chat_engine.loaded) == {BASE, live}
    with pytest.raises(AdapterError, match=before):
        served.call(release.roll_back(served.parts.context, "test"))
    assert hear(served.url).events[0]["model"] == f"ratchet@{live}"


@pytest.mark.parametrize("spoil", WAYS)
def test_a_candidate_that_was_spoilt_since_it_was_made_is_not_loaded(
    served: Service, chat_engine: ScriptedChat, publish: Callable[[int], str], spoil: Spoil
) -> None:
    name = publish(1)
    spoil(folder_of(served, name))
    with pytest.raises(AdapterError, match=name):
        served.call(release.load(served.parts.context, name))
    assert set(chat_engine.loaded) == {BASE}
    assert hear(served.url).events[0]["model"] == "ratchet@base"
