"""People find, read, rename and delete their own conversations, with every branch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Service
from tests.service.talks import keep_talk

pytestmark = pytest.mark.engine


def listed(service: Service, query: str = "", key: str | None = None) -> Any:
    status, found = service.request("GET", f"/v1/conversations{query}", key=key)
    assert status == 200, found
    return found


def titles(found: Any) -> list[str]:
    return [one["title"] for one in found["data"]]


def test_the_one_last_talked_in_comes_first_page_by_page(service: Service) -> None:
    for number, title in enumerate(("Bread", "Wine", "Cheese")):
        keep_talk(service, title=title, at_s=100.0 + number)
    keep_talk(service, "stranger", "Salt", 200.0)
    first = listed(service, "?limit=2")
    assert (titles(first), first["has_more"], first["object"]) == (["Cheese", "Wine"], True, "list")
    rest = listed(service, f"?limit=2&after={first['last_id']}")
    assert (titles(rest), rest["has_more"]) == (["Bread"], False)
    assert titles(listed(service, "?search=WINE")) == ["Wine"]
    assert titles(listed(service, "?search=is%20bread%20made")) == ["Bread"]  # said in it
    assert titles(listed(service, key="stranger")) == ["Salt"]
    assert listed(service, key="nobody") == {
        "data": [], "first_id": None, "last_id": None, "has_more": False, "object": "list",
    }  # fmt: skip


def test_a_conversation_shows_siblings_and_what_its_owner_thinks_of_each(service: Service) -> None:
    talk = keep_talk(service)
    for said in ({"thumb": "up", "comment": "ok"}, {"thumb": "down", "reasons": ["too long"]}):
        assert service.request("POST", "/v1/feedback", {"completion_id": talk.again, **said})[0] == 200
    status, tree = service.request("GET", f"/v1/conversations/{talk.conversation}")
    question, answer, again = tree["messages"]
    assert (status, tree["title"], question["parent_id"]) == (200, "Bread", None)
    assert answer["parent_id"] == again["parent_id"] == question["id"]
    assert (answer["feedback"], answer["status"], answer["adapter"]) == (None, "complete", "base")
    thinks = {"thumb": "down", "reasons": ["too_long"], "comment": "ok", "correction": None, "preferred_over": None}
    assert again["feedback"] == thinks


def test_asking_again_makes_a_sibling_and_going_on_a_branch(service: Service) -> None:
    question = "Name a colour."
    first = service.chat(question, max_tokens=4)
    [begun] = listed(service)["data"]
    named = {"conversation_id": begun["id"]}
    again = service.chat(question, max_tokens=4, seed=7, metadata=named)
    said = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": first["choices"][0]["message"]["content"]},
        {"role": "user", "content": "Why?"},
    ]
    body = {"model": "ratchet", "messages": said, "max_tokens": 4, "metadata": named}
    later = service.request("POST", "/v1/chat/completions", body)[1]
    [only] = listed(service)["data"]
    nodes = {node["id"]: node for node in service.request("GET", f"/v1/conversations/{only['id']}")[1]["messages"]}
    assert (only["id"], only["title"], len(nodes)) == (begun["id"], question, 5)
    root = nodes[first["id"]]["parent_id"]
    assert nodes[again["id"]]["parent_id"] == root and nodes[root]["content"] == question
    assert nodes[nodes[later["id"]]["parent_id"]]["content"] == "Why?"
    assert {node["status"] for node in nodes.values()} == {"complete"}
    # What the model is known to have said is the client's no more, whichever of two equal answers it goes on from.
    assert nodes[nodes[later["id"]]["parent_id"]]["parent_id"] in (first["id"], again["id"])


def test_it_is_renamed_and_deleted_by_its_owner_only(service: Service) -> None:
    talk = keep_talk(service)
    path = f"/v1/conversations/{talk.conversation}"
    for method, body in (("GET", None), ("POST", {"title": "Mine"}), ("DELETE", None)):
        status, answer = service.request(method, path, body, key="stranger")
        unknown = service.request(method, "/v1/conversations/conv-0", body, key="stranger")
        assert (status, unknown[0]) == (404, 404)
        said = answer["error"]["message"].replace(talk.conversation, "")
        assert said == unknown[1]["error"]["message"].replace("conv-0", "")
    assert service.request("POST", path, {"title": "t" * 201})[0] == 400
    status, renamed = service.request("POST", path, {"title": "Dough"})
    assert (status, renamed["title"], titles(listed(service))) == (200, "Dough", ["Dough"])
    assert service.request("POST", "/v1/feedback", {"completion_id": talk.answer, "thumb": "up"})[0] == 200
    assert service.request("DELETE", path) == (200, {"id": talk.conversation, "deleted": True})
    assert service.request("GET", path)[0] == service.request("GET", f"/v1/chat/completions/{talk.answer}")[0] == 404
    assert listed(service)["data"] == service.request("GET", "/v1/feedback")[1]["data"] == []
