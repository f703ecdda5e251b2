"""Bad input gets a clear error in OpenAI's envelope, and nothing is lost or half-written."""

from __future__ import annotations

import http.client
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from storage import tables
from tests.conftest import Service

pytestmark = pytest.mark.engine


def rows(service: Service) -> dict[str, int]:
    """How many rows each table has."""

    async def count(connection: Any) -> dict[str, int]:
        counts = {}
        for table in set(tables.metadata.sorted_tables) - {tables.leases}:  # a lease is nobody's request
            counts[table.name] = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
        return counts

    return service.call(service.parts.database.read(count))


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"completion_id": "chatcmpl-nobody", "thumb": "up"}, 404, "'chatcmpl-nobody'"),
        ({"completion_id": "x", "thumb": 7}, 400, "thumb"),
        ({"completion_id": "x", "thumb": "sideways"}, 400, "'sideways'"),
        ({"completion_id": "x"}, 400, "expected at least one of"),
        ({"completion_id": "x", "thumbs": "up"}, 400, "thumbs"),
        ({"thumb": "up"}, 400, "completion_id"),
        ({"completion_id": "x", "comment": "a" * 20_000}, 400, "10000"),
        (b'{"completion_id": "x", "thu', 400, "truncated"),
        (b"\xff\xfe", 400, ""),
        (b"[]", 400, "object"),
    ],
)
def test_bad_feedback_is_refused_and_changes_nothing(service: Service, body: object, status: int, said: str) -> None:
    before = rows(service)
    found, answer = service.request("POST", "/v1/feedback", body)
    assert (found, said in answer["error"]["message"]) == (status, True), answer
    assert answer["error"]["type"] and answer["error"]["code"]
    assert rows(service) == before


def test_a_body_of_10_mb_is_refused_before_it_is_read(service: Service) -> None:
    before = rows(service)
    address = service.url.removeprefix("http://")
    for path in ("/v1/feedback", "/v1/chat/completions"):
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.putrequest("POST", path)
        for header in (("Authorization", "Bearer me"), ("Content-Type", "application/json"), ("Content-Length", "10000000")):
            connection.putheader(*header)
        connection.endheaders(b'{"comment": "aaaaaaaaaaaaaaaaaaaa')
        response = connection.getresponse()
        assert response.status == 413
        assert msgspec.json.decode(response.read())["error"]["code"] == "too_large"
        connection.close()
    assert rows(service) == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "ratchet", "messages": []}, "messages"),
        ({"model": "ratchet", "messages": [{"role": "wizard", "content": "hi"}]}, "'wizard'"),
        ({"model": "ratchet", "messages": [{"role": "user"}]}, "content"),
        ({"model": "ratchet"}, "messages"),
        ({"model": "ratchet", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 0}, "max_tokens"),
        ({"model": "ratchet", "messages": [{"role": "user", "content": "hi"}], "n": 3}, "n"),
        (b'{"messages": [', "truncated"),
    ],
)
def test_a_bad_question_is_refused_and_changes_nothing(service: Service, body: object, said: str) -> None:
    before = rows(service)
    status, answer = service.request("POST", "/v1/chat/completions", body)
    assert status == 400 and said in answer["error"]["message"], answer
    assert rows(service) == before


def test_feedback_on_somebody_elses_answer_reads_like_one_that_does_not_exist(service: Service) -> None:
    mine = service.chat("Say hello.", key="me")
    before = rows(service)
    status, answer = service.request("POST", "/v1/feedback", {"completion_id": mine["id"], "thumb": "up"}, key="you")
    nobody, unknown = service.request("POST", "/v1/feedback", {"completion_id": "chatcmpl-0", "thumb": "up"}, key="you")
    assert status == nobody == 404
    assert answer["error"]["message"].replace(mine["id"], "") == unknown["error"]["message"].replace("chatcmpl-0", "")
    assert rows(service) == before


def test_feedback_is_kept_before_it_is_acknowledged_and_the_same_id_changes_nothing(service: Service) -> None:
    mine = service.chat("Say hello.", key="me")
    said = {"id": "fb-1", "completion_id": mine["id"], "thumb": "down", "comment": "dull", "correction": "Hello!"}
    first = service.request("POST", "/v1/feedback", said, key="me")
    after = rows(service)
    assert first == (200, {"id": "fb-1", "completion_id": mine["id"], "recorded": ["thumb", "comment", "correction"]})
    assert after["feedback"] == 3
    assert service.request("POST", "/v1/feedback", said, key="me") == first
    assert rows(service) == after


def test_a_key_that_was_never_given_out_is_refused(service: Service) -> None:
    question = {"messages": [{"role": "user", "content": "hi"}]}
    status, answer = service.request("POST", "/v1/chat/completions", question, key="rt_guess")
    assert status == 401 and answer["error"]["code"] == "not_authenticated"


def test_only_the_operators_key_opens_the_api(service: Service) -> None:
    assert service.request("GET", "/api/status")[0] == 403
    assert service.request("GET", "/api/status", key=service.key)[0] == 200
    assert service.request("POST", "/api/cycles")[0] == 403


def test_an_unknown_route_answers_in_the_envelope(service: Service) -> None:
    status, answer = service.request("GET", "/v2/nothing")
    assert status == 404 and answer["error"]["code"] == "not_found"
