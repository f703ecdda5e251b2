"""All that the OpenAPI document says can be asked is asked, as it says and otherwise: no answer is a 5xx, and none is of a form
that the document does not give it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis.errors import Unsatisfiable
from litestar.testing import TestClient
from schemathesis.checks import load_all_checks
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from service.app import create_app
from service.bench.tiny_model import make_tiny_model
from service.home_key import operator_key
from tests.faults.scripted_chat import config_for, scripted_chat
from tests.fuzz.inputs import amounts, fuzz
from tests.service.scripted import scripted_service

HERE = "http://127.0.0.1"
ENDLESS = ("/api/events",)  # an answer that has no end: see tests/service/test_events.py
SLOW = ("/api/baseline", "/api/suites/run")  # ask the engine some thousand things, whatever the request is
READY_S, PATIENCE_S = 60, 300
FEW, MANY = 2, 200  # inputs for each operation, of each kind
Case = schemathesis.Case
Send = Callable[[Case, str], Any]  # a request with a person's or the operator's key, to its answer


class Way:
    """How requests come to a service, and what there is in it to be asked for."""

    def __init__(self, send: Send, operator: str, document: dict[str, Any], known: dict[str, Any], is_quick: bool = False) -> None:
        self.send, self.operator, self.known, self.is_quick = send, operator, known, is_quick
        self.schema = schemathesis.openapi.from_dict(document)

    def operations(self, inputs: int) -> Iterator[tuple[APIOperation, int]]:
        """What can be asked, and how often to ask it. Where inputs are few, what is slow is asked once, on one of the ways."""
        for found in self.schema.get_all_operations():
            operation = found.ok()
            is_slow = operation.path in SLOW and inputs == FEW
            if operation.path not in ENDLESS and not (is_slow and self.is_quick):
                yield operation, 1 if is_slow else inputs

    def key(self, operation: APIOperation) -> str:
        return self.operator if operation.path.startswith("/api") else "tester"


def talk(request: Callable[..., Any]) -> dict[str, Any]:
    """Says something, and gives the ids of what there is then."""
    body = {"messages": [{"role": "user", "content": "How big is a whale?"}]}
    headers = {"Authorization": "Bearer tester"}
    answer = request("POST", "/v1/chat/completions", json=body, headers=headers)
    me = request("GET", "/v1/me", headers=headers).json()["id"]
    id = answer.json()["id"]
    ids = {"completion_id": id, "message_id": id, "conversation_id": answer.headers["x-conversation-id"], "person_id": me}
    return {**ids, "name": "base", "adapter": "base", "cycle_id": 1}


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    folder: Path = tmp_path_factory.mktemp("in_process")
    model_dir, home = make_tiny_model(folder / "model"), folder / "home"
    home.mkdir()
    with scripted_chat() as engine, TestClient(create_app(home, config_for(engine.url, model_dir)), base_url=HERE) as client:
        deadline = time.monotonic() + READY_S
        while client.get("/health/ready").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.05)

        def send(case: Case, key: str) -> Any:
            asked = case.as_transport_kwargs(HERE, {"Authorization": f"Bearer {key}"})
            asked["content"] = asked.pop("data", None)  # as httpx calls it; cookies it has its own
            return client.request(**{name: value for name, value in asked.items() if name != "cookies"})

        yield Way(send, operator_key(home), client.get("/schema/openapi.json").json(), talk(client.request), is_quick=True)


@pytest.fixture(scope="module")
def over_a_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    import requests

    with scripted_service(tmp_path_factory.mktemp("served")) as (service, _), requests.Session() as session:

        def request(method: str, path: str, **options: Any) -> Any:
            return session.request(method, service.url + path, **options)

        def send(case: Case, key: str) -> Any:
            return case.call(service.url, session, {"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S)

        yield Way(send, service.key, request("GET", "/schema/openapi.json").json(), talk(request))


@pytest.mark.parametrize("way", ["in_process", "over_a_socket"])
@amounts(FEW, MANY)
def test_no_request_is_met_with_a_5xx_or_with_what_the_document_does_not_say(
    way: str, inputs: int, request: pytest.FixtureRequest, subtests: pytest.Subtests
) -> None:
    found: Way = request.getfixturevalue(way)
    load_all_checks()
    for operation, amount in found.operations(inputs):
        with subtests.test(f"{operation.method.upper()} {operation.path}"):
            check_operation(found, operation, amount)


def check_operation(way: Way, operation: APIOperation, inputs: int) -> None:
    """Asks for what there is and for what is not, as the document says it is asked for, and in other ways."""

    def check(case: Case) -> None:
        answer = way.send(case, way.key(operation))
        # What has the right form may still ask for what cannot be done. And keys are right here, whatever was drawn for them:
        # tests/service/test_access_matrix.py has the others.
        case.validate_response(answer, excluded_checks=[positive_data_acceptance, ignored_auth])

    names = {parameter.name for parameter in operation.path_parameters}
    known = {name: way.known[name] for name in names if name in way.known}
    for mode in schemathesis.GenerationMode:
        strategies = [operation.as_strategy(mode)] + ([operation.as_strategy(mode, path_parameters=known)] if known else [])
        if mode.is_negative and not operation.query and not operation.body:
            continue  # nothing can be wrong with it
        for strategy in strategies:
            with suppress(Unsatisfiable) if mode.is_negative else nullcontext():  # a text is never of the wrong form
                fuzz(inputs, strategy, check)
