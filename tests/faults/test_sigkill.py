"""SIGKILL of the service in every stage of a cycle and between every two writes of a release.

One cycle is killed at each place in turn. After each restart the live version answers, and the cycle goes on from what it
had kept: at the end it is promoted, once. On the built-in model:

    ./deploy/test -m long tests/faults/test_sigkill.py
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from service.annotated import annotate
from service.client import Client, ClientError
from service.config import Config
from tests.conftest import prepare_home, wait_ready
from tests.faults.conftest import Taught
from tests.faults.killable import LIMIT_S, Killable
from tests.faults.talkers import settle, spare_anchors

STAGES = ("collect", "curate", "train", "evaluate", "gate")
PLACES = [f"{stage}:worked" for stage in STAGES]
PLACES += [
    "release:started",
    "release:loaded",
    "release:proved",
    "release:committed",
    "release:worked",
    "release:kept",
]
PEOPLE, TURNS_EACH = 24, 3


@pytest.fixture
def killable(tmp_path: Path, teachable: Taught) -> Iterator[Killable]:
    home = tmp_path / "home"
    prepare_home(home, teachable.base)
    spare_anchors(home)
    (home / "ratchet.toml").write_text(annotate(msgspec.convert(teachable.settings, Config)))
    service = Killable(home)
    yield service
    service.stop()


def assert_sound(home: Path, votes: int) -> str:
    """The database is whole, every acknowledged vote is in it, and there is one live version; gives that."""
    with sqlite3.connect(home / "ratchet.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM feedback").fetchone() == (votes,)
        live = database.execute("SELECT adapter FROM release ORDER BY id DESC LIMIT 1").fetchone()[0]
        states = database.execute("SELECT name FROM adapters WHERE state = 'live'").fetchall()
    database.close()
    assert states == [(live,)]
    return str(live)


def test_a_cycle_killed_everywhere_still_ends_with_one_promotion(killable: Killable) -> None:
    client = killable.start(PLACES[0])
    wait_ready(client.url)
    votes = len(settle(client, PEOPLE, TURNS_EACH)) * TURNS_EACH
    client.post("/api/cycles")
    killable.wait_killed()
    for place in [*PLACES[1:], None]:
        live = assert_sound(killable.home, votes)
        client = killable.start(place)
        try:
            wait_ready(client.url, LIMIT_S, killable.is_alive)
            talker = Client(url=client.url, key="anybody")
            answer = talker.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})
            assert answer["model"] in (f"ratchet@{live}", f"ratchet@{assert_sound(killable.home, votes)}")
        except (ClientError, TimeoutError):
            killable.wait_killed()  # it got there first
        if place is not None:
            killable.wait_killed()

    deadline = time.monotonic() + LIMIT_S
    while (report := client.get("/api/cycles/1"))["cycle"]["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert report["cycle"]["state"] == "promoted", report["cycle"]
    assert assert_sound(killable.home, votes) == report["cycle"]["adapter"]
    assert [stage["name"] for stage in report["stages"]] == [*STAGES, "release"]
    with sqlite3.connect(killable.home / "ratchet.db") as database:
        moves = database.execute("SELECT adapter FROM release ORDER BY id").fetchall()
    database.close()
    assert moves == [("base",), (report["cycle"]["adapter"],)]
