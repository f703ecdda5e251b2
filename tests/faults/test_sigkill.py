"""SIGKILL of the service in every stage of a cycle and between every two writes of a release.

One cycle is killed at each place in turn. After each restart the live version answers, and the cycle goes on from what it
had kept: at the end it is promoted, once.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from service.client import Client, ClientError
from tests.conftest import prepare_home, wait_ready
from tests.faults.killable import LIMIT_S, Killable
from tests.faults.talkers import settle, spare_anchors
from tests.suites import make_suites

pytestmark = pytest.mark.engine

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
PEOPLE, TURNS_EACH = 16, 3


@pytest.fixture
def killable(tmp_path: Path, base_adapter: Path, engine_url: str):
    home = tmp_path / "home"
    prepare_home(home, base_adapter)
    spare_anchors(home)
    suites = make_suites(tmp_path / "suites")
    (home / "ratchet.toml").write_text(
        f"""
        [engine]
        urls = ["{engine_url}"]
        [learner]
        suites = "{suites}"
        [learner.schedule]
        enabled = false
        [learner.curate]
        heldout_share = 0.5
        anchors = 0
        [learner.curate.trust]
        new_person_wait_s = 0
        claim_people = 1
        crowd_people = 1000
        burst_chance = 0
        [learner.train]
        passes = 3
        learning_rate = 1e-3
        kl_weight = 0.1
        voted_kl_weight = 0.0
        [learner.gate]
        promote_error = 0.6
        min_heldout_votes = 8
        """
    )
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
