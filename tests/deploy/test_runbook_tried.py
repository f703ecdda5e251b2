"""Sections of the runbook, typed as they stand there, at a service before a scripted engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from learner import release
from service.bench.random_adapter import make_random_adapter
from service.bench.tiny_model import make_tiny_model
from tests.adapters import published
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import ScriptedChat, answers, config_for, hangs, scripted_chat
from tests.service.command_line import printed, run

PATIENCE_S = 120


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def engine() -> Iterator[ScriptedChat]:
    with scripted_chat() as scripted:
        yield scripted


@pytest.fixture(scope="module")
def running(engine: ScriptedChat, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with run_service(tmp_path_factory.mktemp("home"), config_for(engine.url, model, 300)) as service:
        yield service


@pytest.fixture
def service(running: Service, engine: ScriptedChat, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service that commands speak to."""
    monkeypatch.setenv("RATCHET_URL", running.url)
    monkeypatch.setenv("RATCHET_KEY", running.key)
    yield running
    engine.script = answers


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def stage(capsys: pytest.CaptureFixture[str]) -> str:
    """Of the cycle that runs, as the status tells it."""
    progress = printed(capsys, "status")["progress"]
    return str(progress["stage"]) if progress else ""


def go_live(service: Service, model: Path, folder: Path, seed: int) -> str:
    """A version that has come to be, and is live."""
    context = service.parts.context
    name = service.call(published(context, make_random_adapter(model, folder, context.settings.train.rank, seed=seed)))
    service.call(release.load(context, name))
    service.call(release.go_live(context, name, "test", "it passed"))
    return name


def test_a_bad_version_is_rolled_back_and_kept_away(
    service: Service, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = (go_live(service, model, tmp_path / name, seed) for seed, name in enumerate(("good", "bad")))
    assert service.chat("Hello")["model"] == f"ratchet@{bad}"

    assert run("adapters", "rollback") == 0
    capsys.readouterr()
    assert printed(capsys, "status")["live"] == good
    assert service.chat("Hello")["model"] == f"ratchet@{good}"

    assert run("adapters", "quarantine", bad, "--reason", "it flatters") == 0
    capsys.readouterr()
    states = {one["name"]: one["state"] for one in printed(capsys, "adapters", "list")}
    assert (states[good], states[bad]) == ("live", "quarantined")
    assert run("adapters", "rollback", "--to", bad) == 1
    assert run("adapters", "restore", bad, "--reason", "it was the prompt") == 0
    assert run("adapters", "rollback", "--to", bad) == 0
    assert run("adapters", "rollback", "--to", "base") == 0
    assert service.chat("Hello")["model"] == "ratchet@base"


def test_a_stuck_cycle_is_cancelled_and_the_next_one_begins(
    service: Service, engine: ScriptedChat, capsys: pytest.CaptureFixture[str]
) -> None:
    said = service.chat("How big is a whale?")
    vote = {"completion_id": said["id"], "thumb": "down", "comment": "Say it in one short sentence, please."}
    assert service.request("POST", "/v1/feedback", vote)[0] == 200
    live = printed(capsys, "status")["live"]

    engine.script = hangs  # when the live version is asked to answer again with the comment in view
    stuck = service.request("POST", "/api/cycles", key=service.key)[1]["id"]
    eventually(lambda: stage(capsys) == "curate" and engine.talks[-1].whole is None, "the cycle to hang")
    assert run("cycle", "show", str(stuck)) == 0
    assert "curate    running" in capsys.readouterr().out
    assert run("cycle", "cancel") == 0
    assert "cancelled" in capsys.readouterr().out

    engine.script = answers
    assert printed(capsys, "status")["live"] == live
    status, begun = service.request("POST", "/api/cycles", key=service.key)
    assert (status, begun["id"]) == (202, stuck + 1)
    eventually(lambda: printed(capsys, "cycle", "show", str(begun["id"]))["cycle"]["state"] != "running", "the next cycle to end")
    states = {one["id"]: one["state"] for one in printed(capsys, "cycle", "list")}
    assert states[stuck] == "cancelled" and states[begun["id"]] not in ("cancelled", "running")


def test_a_person_is_forgotten_by_commands(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    added = printed(capsys, "people", "add", "Ann")
    service.chat("My word is heliotrope.", key=added["key"])
    assert added["id"] in {one["id"] for one in printed(capsys, "people", "list")["data"]}
    assert printed(capsys, "forget", added["id"])["counts"]["messages"] == 2
    assert added["id"] not in {one["id"] for one in printed(capsys, "people", "list")["data"]}
    assert run("forget", "--verify") == 0
    assert "nothing is left of 1 people" in capsys.readouterr().out
