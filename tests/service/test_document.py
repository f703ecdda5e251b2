"""The OpenAPI document says of every operation how it can be refused, what it takes, and what it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.config import Config
from service.document import READ_STATUSES, WRITE_STATUSES
from service.problem import STATUS

MISTAKES_OF_OURS = {500}  # what nobody may count on


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Path("/nowhere"), Config()).openapi_schema.to_schema()


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        found: dict[str, Any] = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def test_every_operation_names_the_ways_in_which_it_is_refused_in_one_form(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            statuses = READ_STATUSES if method == "get" else WRITE_STATUSES
            for status in map(str, statuses):
                if (path, status) == ("/health/ready", "503"):
                    continue
                refusal = resolved(document, operation["responses"][status])
                body = resolved(document, refusal["content"]["application/json"]["schema"])
                error = resolved(document, body["properties"]["error"])
                assert set(error["properties"]) == {"message", "type", "param", "code"}, (method, path, status)
                assert ("Retry-After" in refusal.get("headers", {})) == (status in ("429", "503"))


def test_every_operation_says_who_may_ask(document: dict[str, Any]) -> None:
    said = {
        (path, method): operation.get("security", [{"key": None}])[0]["key"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert said["/v1/feedback", "post"] == ["feedback"] and said["/v1/chat/completions", "post"] == ["chat"]
    assert said["/api/cycles", "get"] == ["read"] and said["/api/cycles", "post"] == ["operate"]
    assert said["/health/ready", "get"] is None
    schemes = document["components"]["securitySchemes"]
    assert set(schemes) == {"key", "ratchet_session"} and schemes["key"]["scheme"] == "bearer"
    assert all(f"`{scope}`" in schemes["key"]["description"] for scopes in said.values() for scope in scopes or ())


def test_every_status_that_a_problem_has_is_described() -> None:
    assert set(WRITE_STATUSES) == set(STATUS.values()) - MISTAKES_OF_OURS


def test_bodies_say_whether_they_take_more_than_they_name(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["FeedbackRequest"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["ChatRequest"]  # what it does not know it ignores, as OpenAI's servers do


def test_files_come_as_bodies_and_go_out_as_what_they_are(document: dict[str, Any]) -> None:
    paths = document["paths"]
    for path in ("data", "documents", "adapters"):
        [kind] = paths[f"/api/{path}/import"]["post"]["requestBody"]["content"]
        assert kind == "application/octet-stream"
    given = {path: set(paths[path][method]["responses"]["200"]["content"]) for path, method in GIVES}
    assert given == {path: kinds for (path, _), kinds in GIVES.items()}


GIVES = {
    ("/v1/chat/completions", "post"): {"application/json", "text/event-stream"},
    ("/api/events", "get"): {"text/event-stream"},
    ("/api/data/export", "get"): {"application/json", "application/x-ndjson"},
    ("/api/adapters/{name}/export", "get"): {"application/x-tar"},
    ("/api/datasets/{dataset_id}/export", "get"): {"application/x-tar"},
    ("/api/documents/import", "post"): {"application/x-ndjson"},
    ("/api/data/stats/picture", "get"): {"image/svg+xml", "image/png"},
    ("/api/cycles/{cycle_id}/report.html", "get"): {"text/html"},
}
