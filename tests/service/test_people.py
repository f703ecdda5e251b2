"""Being forgotten over HTTP and from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from service.turns import Turn, keep_turn
from service.wire import ChatMessage
from storage import conversations, people
from storage.records import MessageStatus, Person
from tests.conftest import Service

pytestmark = pytest.mark.engine


def add(service: Service) -> tuple[str, str]:
    """A person with a kept turn: (id, key)."""
    status, added = service.request("POST", "/api/people", {"name": "ann"}, service.key)
    assert status == 201
    service.call(service.parts.database.write(lambda c: keep_turn(c, turn(added["id"]), MessageStatus.COMPLETE)))
    return added["id"], added["key"]


def turn(person_id: str, at_s: float = 1.0) -> Turn:
    return Turn.begin(Person(person_id, "ann", 0.0), None, [ChatMessage("user", "Hello")], "base", 0.7, {}, at_s)


def forget(service: Service, *arguments: str) -> tuple[int, Any]:
    command = [sys.executable, "-m", "service.cli", "forget", *arguments, "--json"]
    environment = {**os.environ, "RATCHET_URL": service.url, "RATCHET_KEY": service.key}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_an_operator_forgets_a_person_whose_key_then_opens_nothing(service: Service) -> None:
    id, key = add(service)
    assert service.request("GET", "/v1/conversations", key=key)[0] == 200
    assert service.request("DELETE", f"/api/people/{id}")[0] == 403
    code, receipt = forget(service, id)
    assert code == 0 and receipt["counts"]["messages"] == 2 and receipt["cleaned_at_s"] is not None
    assert service.request("GET", "/v1/conversations", key=key)[0] == 401
    code, told = forget(service, id)
    assert code == 1 and f"there is no person '{id}'" in told
    assert service.request("GET", "/api/erasures", key=service.key) == (200, [receipt])
    [entry, *_] = service.request("GET", "/api/audit", key=service.key)[1]
    assert (entry["actor"], entry["action"], entry["subject"]) == ("operator", "forget", receipt["id"])


def test_a_person_deletes_their_own_data(service: Service) -> None:
    id, key = add(service)
    other, _ = add(service)
    status, receipt = service.request("DELETE", "/v1/me", key=key)
    assert status == 200 and id not in json.dumps(receipt)
    assert service.request("DELETE", "/v1/me", key=key)[0] == 401
    assert service.request("DELETE", "/v1/me", key="nobody so far")[0] == 404
    assert service.call(service.parts.database.read(lambda c: people.select_person(c, other))) is not None


def test_the_search_says_where_somebody_still_is(service: Service) -> None:
    id, _ = add(service)
    assert forget(service, id)[0] == 0
    code, search = forget(service, "--verify")
    assert code == 0 and search["receipts"] == 1 and search["remains"] == [] and search["files"] >= 1
    (service.home / "notes.txt").write_text(f"about {id}")
    code, search = forget(service, "--verify")
    assert code == 1 and search["remains"] == [{"place": str(service.home / "notes.txt"), "found": 1}]


def test_an_answer_in_the_making_is_not_kept_for_somebody_who_is_forgotten(service: Service) -> None:
    id, _ = add(service)
    late = turn(id, service.parts.clock())
    assert forget(service, id)[0] == 0
    database = service.parts.database
    service.call(database.write(lambda c: keep_turn(c, late, MessageStatus.COMPLETE)))
    assert service.call(database.read(lambda c: conversations.select_message(c, late.id))) is None
    assert service.call(database.read(lambda c: people.select_person(c, id))) is None
