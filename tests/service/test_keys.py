"""Keys over HTTP and from the command line: made, shown once, used, rotated with an overlap, revoked; and who may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.cli import main
from service.home_key import KEY_PREFIX, sha256
from storage import keys
from storage.audit import select_audit
from tests.conftest import Service
from tests.service.scripted import scripted_service
from tests.service.visitor import visit


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with scripted_service(tmp_path_factory.mktemp("keys")) as (service, _):
        yield service


def create(service: Service, key: str | None = None, status: int = 201, **wanted: object) -> Any:
    found, made = service.request("POST", "/api/keys", {"label": "a page"} | wanted, key or service.key)
    assert found == status, made
    return made


def change(service: Service, id: str, how: str, body: object = None, key: str | None = None, status: int | None = None) -> Any:
    found, answer = service.request("POST", f"/api/keys/{id}/{how}", body, key or service.key)
    assert found == (status or {"rotate": 201, "revoke": 200}[how]), answer
    return answer


def works(service: Service, key: str, path: str = "/v1/me") -> bool:
    status, _ = service.request("GET", path, key=key)
    assert status in (200, 401)
    return bool(status == 200)


def test_a_key_is_shown_once_and_only_its_hash_is_kept(service: Service) -> None:
    made = create(service, label="the library's page")
    key, card = made["key"], made["card"]
    assert key.startswith(KEY_PREFIX) and len(key) > 40 and key.startswith(card["prefix"])
    assert (card["role"], card["scopes"], card["state"], card["expires_at_s"]) == ("person", [], "good", None)
    kept = service.call(service.parts.database.read(lambda c: keys.select_key(c, card["id"])))
    assert kept.sha256 == sha256(key)
    assert works(service, key)
    _, page = service.request("GET", f"/api/keys?person={card['person_id']}", key=service.key)
    assert page["data"] == [card] and key not in json.dumps(page)
    _, me = service.request("GET", "/v1/me", key=key)
    assert (me["id"], me["name"]) == (card["person_id"], "the library's page")


def test_a_second_key_of_somebody_is_the_same_person(service: Service) -> None:
    first = create(service)
    second = create(service, person_id=first["card"]["person_id"])
    told = [service.request("GET", "/v1/me", key=one["key"])[1]["id"] for one in (first, second)]
    assert told[0] == told[1]
    assert "no person 'nobody'" in create(service, person_id="nobody", status=404)["error"]["message"]


def test_a_rotated_key_works_beside_its_successor_for_the_overlap(service: Service) -> None:
    old = create(service, scopes=["data"])
    new = change(service, old["card"]["id"], "rotate", {"overlap_s": 100})
    assert (new["card"]["scopes"], new["card"]["person_id"]) == (["data"], old["card"]["person_id"])
    assert works(service, old["key"]) and works(service, new["key"])
    told = change(service, old["card"]["id"], "rotate", status=409)["error"]["message"]
    assert "is rotated" in told
    service.request("POST", "/api/clock", {"seconds": 101}, service.key)
    assert not works(service, old["key"]) and works(service, new["key"])
    assert "is over" in change(service, old["card"]["id"], "rotate", status=409)["error"]["message"]


def test_a_revoked_key_and_one_whose_time_is_over_open_nothing_from_then_on(service: Service) -> None:
    made, short = create(service), create(service, expires_in_s=50)
    assert works(service, made["key"]) and works(service, short["key"])
    assert change(service, made["card"]["id"], "revoke")["state"] == "revoked"
    assert not works(service, made["key"])
    service.request("POST", "/api/clock", {"seconds": 51}, service.key)
    assert not works(service, short["key"])
    assert change(service, "key-nothing", "revoke", status=404)["error"]["message"] == "there is no key 'key-nothing'"


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        (["chat"], "GET", "/v1/models", 200),
        (["chat"], "GET", "/v1/conversations", 403),
        (["chat"], "POST", "/v1/feedback", 403),
        (["feedback"], "GET", "/v1/feedback", 200),
        (["data"], "GET", "/v1/chat/completions", 200),
        (["data"], "POST", "/v1/chat/completions", 403),
        (["read"], "GET", "/api/status", 200),
        (["read"], "DELETE", "/api/cycles/running", 403),
        (["operate"], "DELETE", "/api/cycles/running", 404),
        (["operate"], "GET", "/api/status", 403),
    ],
)
def test_a_key_with_scopes_is_for_them_alone(service: Service, scopes: list[str], method: str, path: str, status: int) -> None:
    made = create(service, scopes=scopes, role="operator")
    body = {"nonsense": 1} if method == "POST" else None
    heard = visit(service.url, method, path, body, made["key"])
    assert heard.status == status, heard.body
    if status == 403:
        assert f"this key is for {scopes[0]}; this needs " in heard.message


def test_there_is_no_scope_that_is_not_known(service: Service) -> None:
    assert "no scope 'all'" in create(service, scopes=["all"], status=400)["error"]["message"]


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_keys_of_operators_are_an_admins_to_make_and_to_end(service: Service, role: str) -> None:
    operator, theirs, person = create(service, role="operator"), create(service, role=role), create(service)
    assert "are an admin's" in create(service, operator["key"], 403, role=role)["error"]["message"]
    for how in ("rotate", "revoke"):
        change(service, theirs["card"]["id"], how, key=operator["key"], status=403)
    assert service.request("DELETE", f"/api/people/{theirs['card']['person_id']}", key=operator["key"])[0] == 403
    assert create(service, operator["key"])["card"]["role"] == "person"
    assert change(service, person["card"]["id"], "revoke", key=operator["key"])["state"] == "revoked"
    admin = create(service, role="admin")
    assert create(service, admin["key"], role=role)["card"]["role"] == role


def test_the_audit_says_whose_key_it_was(service: Service) -> None:
    operator = create(service, role="operator")
    made = create(service, operator["key"])
    entries = service.call(service.parts.database.read(lambda c: select_audit(c, 2)))
    assert [(one.actor, one.action, one.subject) for one in entries] == [
        (f"operator:{operator['card']['id']}", "key.create", made["card"]["id"]),
        ("operator", "key.create", operator["card"]["id"]),
    ]
    _, told = service.request("GET", "/api/audit?limit=1&kind=key", key=operator["key"])
    assert told[0]["actor"] == f"operator:{operator['card']['id']}"


def test_when_a_key_was_last_used_is_kept(service: Service) -> None:
    made = create(service)
    assert works(service, made["key"])
    service.call(service.parts.gatekeeper.keep_uses())
    _, page = service.request("GET", f"/api/keys?person={made['card']['person_id']}", key=service.key)
    assert page["data"][0]["last_used_at_s"] >= made["card"]["created_at_s"]


def test_the_command_line_makes_lists_rotates_and_revokes(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RATCHET_URL", service.url)
    monkeypatch.setenv("RATCHET_KEY", service.key)

    def told(*arguments: str) -> Any:
        main(["keys", *arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    made = told("create", "a shop", "--scope", "chat", "--scope", "feedback", "--days", "2")
    card = made["card"]
    assert card["scopes"] == ["chat", "feedback"] and card["expires_at_s"] - card["created_at_s"] == 2 * 86400
    listed = told("list", "--person", card["person_id"])
    assert [one["id"] for one in listed["data"]] == [card["id"]]
    new = told("rotate", card["id"], "--overlap-hours", "1")["card"]
    assert new["id"] != card["id"]
    assert told("revoke", new["id"])["state"] == "revoked"
    main(["keys", "list", "--person", card["person_id"]])
    lines = capsys.readouterr().out
    assert "rotated" in lines and "revoked" in lines and "a shop" in lines and made["key"] not in lines
    main(["keys", "create", "an operator", "--role", "operator"])
    assert "key (shown this once): rt_" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="1"):
        main(["keys", "revoke", "key-nothing"])
    assert "there is no key 'key-nothing'" in capsys.readouterr().err
