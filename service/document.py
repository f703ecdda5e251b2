"""The OpenAPI document: what Litestar reads from the handlers, and what they cannot say.

That is who may ask (`service.auth`), how a request can be refused, which has one form for all of them (`service.problem`), bodies
that are files, and answers that come in one of several media types.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any

import msgspec
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar._openapi.schema_generation.schema import SchemaCreator
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPI, Schema
from litestar.typing import FieldDefinition

from service.cookies import SESSION
from service.data import JSON, JSON_LINES
from service.problem import STATUS, TRY_AGAIN, ErrorEnvelope
from service.scopes import SCOPES, scope_of
from service.wire import Answer

READ_STATUSES = (400, 401, 403, 404, 409, 421, 429, 503)  # with which a request that changes nothing can be refused
WRITE_STATUSES = (*READ_STATUSES, 408, 413, 502)
SCHEMAS, RESPONSES = "#/components/schemas", "#/components/responses"
FILE: dict[str, Any] = {"type": "string", "format": "binary"}
TEXT: dict[str, Any] = {"type": "string"}
EVENT: dict[str, Any] = {"type": "object", "properties": {"data": TEXT}, "required": ["data"]}  # each of a stream
KEY = "key"
WHO: dict[str, Any] = {
    KEY: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "rt_…",
        "description": "A key of this service: a person's under `/v1`, an operator's or an admin's everywhere. One that has scopes "
        "needs that which the operation names: " + "; ".join(f"`{name}`, {about}" for name, about in SCOPES.items()) + ".",
    },
    SESSION: {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION,
        "description": "A browser's session, opened with a key; where people come by https its name begins with `__Host-`.",
    },
}
UPLOADS = ("/api/data/import", "/api/documents/import", "/api/adapters/import")  # bodies that are read as they come
ANSWERS: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("post", "/v1/chat/completions"): {JSON: {"$ref": f"{SCHEMAS}/{Answer.__name__}"}, "text/event-stream": EVENT},
    ("get", "/api/data/export"): {JSON: {"type": "array"}, JSON_LINES: TEXT},
    ("get", "/api/data/stats/picture"): {"image/svg+xml": TEXT, "image/png": FILE},
}  # what comes in one of several media types, as the request asks


@dataclass
class Document(OpenAPIConfig):
    """Litestar's settings of the document, which has it completed."""

    def to_openapi_schema(self) -> OpenAPI:
        plain = super().to_openapi_schema()
        return _Completed(**{field.name: getattr(plain, field.name) for field in fields(plain)})


class Structs(StructSchemaPlugin):
    """Says of a Struct whether it takes fields that it does not know, which Litestar leaves out."""

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        schema = super().to_openapi_schema(field_definition, schema_creator)
        if field_definition.type_.__struct_config__.forbid_unknown_fields:
            schema.additional_properties = False
        return schema


class _Completed(OpenAPI):
    def to_schema(self) -> dict[str, Any]:
        document = super().to_schema()
        _, schemas = msgspec.json.schema_components([ErrorEnvelope, Answer], ref_template=f"{SCHEMAS}/{{name}}")
        components = document["components"]
        components["schemas"] = schemas | components["schemas"]
        components["securitySchemes"] = WHO
        components["responses"] = {_name(status): _refusal(status) for status in WRITE_STATUSES}
        for path, method, operation in _operations(document):
            _complete(path, method, operation)
        return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each operation with its path and method."""
    for path, item in document["paths"].items():
        for method in ("get", "post", "delete"):
            if method in item:
                yield path, method, item[method]


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    if path.startswith(("/v1/", "/api/")):
        operation["security"] = [{KEY: [scope_of(method.upper(), path)]}, {SESSION: []}]
    answers: dict[str, Any] = operation["responses"]
    answers.pop("400", None)  # Litestar's own form of a refusal
    for status in READ_STATUSES if method == "get" else WRITE_STATUSES:
        answers.setdefault(str(status), {"$ref": f"{RESPONSES}/{_name(status)}"})
    if (content := ANSWERS.get((method, path))) is not None:
        answers["200"]["content"] = {kind: {"schema": schema} for kind, schema in content.items()}
    if method == "post" and path in UPLOADS:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": FILE}}}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "")


def _refusal(status: int) -> dict[str, Any]:
    codes = ", ".join(f"`{code}`" for code, its in STATUS.items() if its == status)
    content = {JSON: {"schema": {"$ref": f"{SCHEMAS}/{ErrorEnvelope.__name__}"}}}
    refusal: dict[str, Any] = {"description": f"Refused, with the code {codes}.", "content": content}
    if status in TRY_AGAIN:
        refusal["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return refusal
