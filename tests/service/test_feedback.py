"""Feedback has a history, the last word counts, and people read and take back their own."""

from __future__ import annotations

from typing import Any

import pytest

from storage.records import Reason
from tests.conftest import Service
from tests.service.talks import keep_talk

pytestmark = pytest.mark.engine


def give(service: Service, completion_id: str, **said: object) -> tuple[int, Any]:
    return service.request("POST", "/v1/feedback", {"completion_id": completion_id, **said})


def opinion(service: Service, completion_id: str, key: str | None = None) -> Any:
    status, found = service.request("GET", f"/v1/feedback/{completion_id}", key=key)
    assert status == 200, found
    return found


def test_the_last_word_counts_and_all_words_are_kept(service: Service) -> None:
    talk = keep_talk(service)
    assert opinion(service, talk.answer)["history"] == []
    first = {"id": "fb-1", "thumb": "up", "comment": "fine", "preferred_over": talk.again}
    assert give(service, talk.answer, **first)[0] == 200
    assert give(service, talk.answer, id="fb-2", thumb="down", correction="With water.")[0] == 200
    assert give(service, talk.answer, **first)[0] == 200  # a retry that comes late changes nothing
    assert give(service, talk.answer, id="fb-3", comment=None)[0] == 200
    found = opinion(service, talk.answer)
    assert found["now"] == {
        "thumb": "down", "reasons": [], "comment": None, "correction": "With water.", "preferred_over": talk.again,
    }  # fmt: skip
    kept = [(one["submission_id"], one["kind"], one["value"]) for one in found["history"]]
    assert kept == [
        ("fb-3", "comment", None),
        ("fb-2", "correction", "With water."),
        ("fb-2", "thumb", "down"),
        ("fb-1", "preference", talk.again),
        ("fb-1", "comment", "fine"),
        ("fb-1", "thumb", "up"),
    ]


def test_an_id_belongs_to_one_answer_of_one_person(service: Service) -> None:
    talk, theirs = keep_talk(service), keep_talk(service, "stranger")
    assert give(service, talk.answer, id="fb-1", thumb="up")[0] == 200
    status, refused = give(service, talk.again, id="fb-1", thumb="up")
    assert status == 409 and "'fb-1'" in refused["error"]["message"]
    body = {"completion_id": theirs.answer, "id": "fb-1", "thumb": "down"}
    assert service.request("POST", "/v1/feedback", body, key="stranger")[0] == 200
    assert opinion(service, theirs.answer, "stranger")["now"]["thumb"] == "down"


def test_reasons_are_a_fixed_list_however_they_are_written(service: Service) -> None:
    talk = keep_talk(service)
    status, known = service.request("GET", "/v1/feedback/reasons")
    assert status == 200 and [one["key"] for one in known] == list(Reason)
    assert give(service, talk.answer, reasons=[one["label"] for one in known])[0] == 200
    assert opinion(service, talk.answer)["now"]["reasons"] == list(Reason)
    assert give(service, talk.answer, reasons=["TOO-LONG", "too_long", "  Too  long ", "off topic"])[0] == 200
    assert opinion(service, talk.answer)["now"]["reasons"] == ["too_long", "off_topic"]
    status, refused = give(service, talk.answer, reasons=["wrong", "boring"], thumb="down")
    assert (status, refused["error"]["param"]) == (400, "reasons")
    assert all(f"{word}" in refused["error"]["message"] for word in ("'boring'", *Reason))
    for nothing in ([], None):
        assert give(service, talk.answer, reasons=["style"])[0] == give(service, talk.answer, reasons=nothing)[0] == 200
        assert opinion(service, talk.answer)["now"] | {"thumb": None} == {
            "thumb": None, "reasons": [], "comment": None, "correction": None, "preferred_over": None,
        }  # fmt: skip


def test_what_cannot_be_preferred_is_refused(service: Service) -> None:
    talk, theirs = keep_talk(service), keep_talk(service, "stranger")
    for other, status in ((talk.answer, 400), (talk.question, 404), (theirs.answer, 404)):
        found, refused = give(service, talk.answer, preferred_over=other)
        assert (found, refused["error"]["param"]) == (status, "preferred_over")
        assert repr(other) in refused["error"]["message"]


def test_people_read_their_own_words_page_by_page_and_nobody_elses(service: Service) -> None:
    talk, theirs = keep_talk(service), keep_talk(service, "stranger")
    for number in range(3):
        assert give(service, talk.answer, comment=str(number))[0] == 200
    service.request("POST", "/v1/feedback", {"completion_id": theirs.answer, "thumb": "up"}, key="stranger")
    first = service.request("GET", "/v1/feedback?limit=2")[1]
    rest = service.request("GET", f"/v1/feedback?limit=2&after={first['last_id']}")[1]
    assert [one["value"] for one in first["data"] + rest["data"]] == ["2", "1", "0"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert service.request("GET", f"/v1/feedback?after={first['last_id']}", key="stranger")[0] == 404
    for method in ("GET", "DELETE"):
        assert service.request(method, f"/v1/feedback/{talk.answer}", key="stranger")[0] == 404


def test_people_take_their_words_back_for_good(service: Service) -> None:
    talk = keep_talk(service)
    for answer in (talk.answer, talk.again):
        assert give(service, answer, thumb="up", comment="mine")[0] == 200
    gone = {"completion_id": talk.answer, "rows": 2, "deleted": True}
    assert service.request("DELETE", f"/v1/feedback/{talk.answer}") == (200, gone)
    assert opinion(service, talk.answer)["history"] == []
    assert opinion(service, talk.again)["now"]["comment"] == "mine"
    assert service.request("GET", "/api/status", key=service.key)[1]["evidence"]["rows"] == 1


def test_a_deleted_answer_takes_no_more_feedback(service: Service) -> None:
    talk = keep_talk(service)
    assert service.request("DELETE", f"/v1/chat/completions/{talk.answer}")[0] == 200
    assert give(service, talk.answer, thumb="up")[0] == 404
