"""What was held back is shown to operators alone, who accept or reject it over HTTP and from the command line."""

from __future__ import annotations

import json

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from service.cli import main
from storage.audit import select_audit
from storage.cycles import insert_cycle
from storage.records import Decision, Review
from storage.reviews import hold, select_decisions
from tests.conftest import Service
from tests.service.talks import Talk, keep_talk

pytestmark = pytest.mark.engine


def hold_talk(service: Service) -> Talk:
    talk = keep_talk(service)

    async def write(connection: AsyncConnection) -> None:
        cycle = await insert_cycle(connection, "manual", "mixed", 1.0)
        held = [Review(id, talk.person, cycle.id, "looks like one crowd", "crowd:1", 5.0) for id in (talk.answer, talk.again)]
        await hold(connection, held)

    service.call(service.parts.database.write(write))
    return talk


def test_an_operator_sees_what_is_held_and_decides(service: Service) -> None:
    talk = hold_talk(service)
    status, page = service.request("GET", "/api/data/review", key=service.key)
    assert status == 200 and not page["has_more"]
    assert {(held["message_id"], held["answer"]) for held in page["data"]} == {
        (talk.answer, "With flour."),
        (talk.again, "By hand."),
    }
    assert {(held["question"], held["alike"], held["decision"]) for held in page["data"]} == {("How is bread made?", 2, None)}
    status, first = service.request("GET", "/api/data/review?limit=1", key=service.key)
    assert status == 200 and first["has_more"] and first["data"] == page["data"][:1]
    after = first["data"][0]["message_id"]
    assert service.request("GET", f"/api/data/review?after={after}", key=service.key)[1]["data"] == page["data"][1:]
    word = {"cluster": "crowd:1", "decision": "rejected"}
    assert service.request("POST", "/api/data/review", word, service.key) == (200, {"decision": "rejected", "answers": 2})
    word = {"message_id": talk.again, "decision": "accepted"}
    assert service.request("POST", "/api/data/review", word, service.key) == (200, {"decision": "accepted", "answers": 1})
    for state, ids in (("pending", []), ("accepted", [talk.again]), ("rejected", [talk.answer])):
        _, page = service.request("GET", f"/api/data/review?state={state}", key=service.key)
        assert [held["message_id"] for held in page["data"]] == ids
    entries = service.call(service.parts.database.read(lambda connection: select_audit(connection, 2)))
    assert [(entry.actor, entry.action, entry.subject) for entry in entries] == [
        ("operator", "review.accepted", talk.again),
        ("operator", "review.rejected", "crowd:1"),
    ]


def test_what_cannot_be_decided_is_refused_with_one_clear_line(service: Service) -> None:
    talk = hold_talk(service)

    def problem(method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, str]:
        status, answer = service.request(method, path, body, key or service.key)
        return status, answer["error"]["message"]

    assert problem("GET", "/api/data/review", key="a-person")[0] == 403
    assert problem("POST", "/api/data/review", {"message_id": talk.answer, "decision": "accepted"}, "a-person")[0] == 403
    assert problem("GET", "/api/data/review?after=nothing") == (404, "there is no held message 'nothing'")
    status, told = problem("POST", "/api/data/review", {"message_id": "nothing", "decision": "accepted"})
    assert (status, told) == (404, "there is no held message 'nothing'")
    both = {"message_id": talk.answer, "cluster": "crowd:1", "decision": "accepted"}
    for body in ({"decision": "accepted"}, both):
        status, told = problem("POST", "/api/data/review", body)
        assert status == 400 and "either a message_id or a cluster" in told
    assert problem("POST", "/api/data/review", {"message_id": talk.answer, "decision": "perhaps"})[0] == 400
    found = service.call(service.parts.database.read(lambda connection: select_decisions(connection, [talk.answer])))
    assert found == {}


def test_the_command_line_shows_and_decides(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = hold_talk(service)
    monkeypatch.setenv("RATCHET_URL", service.url)
    monkeypatch.setenv("RATCHET_KEY", service.key)
    main(["data", "review"])
    shown = capsys.readouterr().out
    assert "crowd:1: looks like one crowd (2 answers together)" in shown and "How is bread made?" in shown and talk.person in shown
    main(["data", "review", "--json"])
    assert len(json.loads(capsys.readouterr().out)["data"]) == 2
    main(["data", "review", "--accept", talk.answer, "--reject", talk.again])
    assert capsys.readouterr().out.splitlines() == [f"{talk.answer}: 1 accepted", f"{talk.again}: 1 rejected"]
    found = service.call(service.parts.database.read(lambda c: select_decisions(c, [talk.answer, talk.again])))
    assert found == {talk.answer: Decision.ACCEPTED, talk.again: Decision.REJECTED}
    main(["data", "review"])
    assert capsys.readouterr().out == "nothing is pending\n"
    with pytest.raises(SystemExit, match="1"):
        main(["data", "review", "--accept", "crowd:2"])
