"""Who may do what: every route of the API against everybody who may ask, and every person's things against everybody else.

The routes are those of the OpenAPI document: a new one fails here until it is said for whom it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.model import BUILTIN
from service.app import create_app
from service.config import Config
from service.keys import make_key
from storage.keys import insert_key, revoke_key
from storage.people import insert_person
from storage.records import KeyRole, Person, new_id
from tests.conftest import Service
from tests.service.scripted import scripted_service
from tests.service.talks import Talk, keep_talk
from tests.service.visitor import Heard, visit

EVERYBODY, PEOPLE, OPERATORS = "everybody", "people", "operators"
ACCESS = {
    EVERYBODY: """
        GET /health/live
        GET /health/ready
        GET /v1/feedback/reasons
        GET /v1/models
        POST /v1/session
        DELETE /v1/session
    """,
    PEOPLE: """
        GET /v1/chat/completions
        POST /v1/chat/completions
        GET /v1/chat/completions/{completion_id}
        POST /v1/chat/completions/{completion_id}
        DELETE /v1/chat/completions/{completion_id}
        GET /v1/chat/completions/{completion_id}/messages
        GET /v1/conversations
        GET /v1/conversations/{conversation_id}
        POST /v1/conversations/{conversation_id}
        DELETE /v1/conversations/{conversation_id}
        GET /v1/feedback
        POST /v1/feedback
        GET /v1/feedback/{completion_id}
        DELETE /v1/feedback/{completion_id}
        GET /v1/me
        POST /v1/me
        DELETE /v1/me
        GET /v1/me/export
        GET /v1/session
    """,
    OPERATORS: """
        GET /api/adapters
        POST /api/adapters/ask
        POST /api/adapters/import
        POST /api/adapters/rollback
        GET /api/adapters/{name}
        GET /api/adapters/{name}/export
        POST /api/adapters/{name}/judge
        POST /api/adapters/{name}/load
        GET /api/adapters/{name}/messages
        POST /api/adapters/{name}/quarantine
        POST /api/adapters/{name}/restore
        GET /api/audit
        GET /api/audit/kinds
        POST /api/baseline
        POST /api/clock
        GET /api/cycles
        POST /api/cycles
        GET /api/cycles/preview
        DELETE /api/cycles/running
        GET /api/cycles/{cycle_id}
        GET /api/cycles/{cycle_id}/curves
        GET /api/cycles/{cycle_id}/log
        GET /api/cycles/{cycle_id}/measured
        GET /api/cycles/{cycle_id}/report
        GET /api/cycles/{cycle_id}/report.html
        POST /api/cycles/{cycle_id}/report/link
        POST /api/cycles/{cycle_id}/resume
        GET /api/data/export
        GET /api/data/held
        POST /api/data/import
        GET /api/data/review
        POST /api/data/review
        GET /api/data/stats
        GET /api/data/stats/picture
        GET /api/datasets
        GET /api/datasets/{dataset_id}
        GET /api/datasets/{dataset_id}/export
        GET /api/disk
        GET /api/documents
        DELETE /api/documents
        POST /api/documents/import
        GET /api/documents/sources
        GET /api/engine
        GET /api/engine/minutes
        GET /api/erasures
        GET /api/erasures/verify
        GET /api/events
        GET /api/imports
        GET /api/keys
        POST /api/keys
        POST /api/keys/{key_id}/revoke
        POST /api/keys/{key_id}/rotate
        GET /api/messages
        GET /api/messages/{message_id}/adapters
        GET /api/people
        POST /api/people
        DELETE /api/people/{person_id}
        GET /api/policy
        POST /api/policy/try
        GET /api/pretrain
        POST /api/pretrain
        DELETE /api/pretrain/running
        GET /api/pretrain/{name}
        GET /api/release
        GET /api/release/moves
        POST /api/release/{adapter}/approve
        POST /api/release/{adapter}/hold
        POST /api/release/{adapter}/promote
        POST /api/release/{adapter}/resume
        POST /api/release/{adapter}/rollback
        GET /api/status
        GET /api/suites
        POST /api/suites/calibrate
        GET /api/suites/compare
        GET /api/suites/means
        POST /api/suites/run
        GET /api/suites/{name}/items
        GET /api/transfer
        GET /api/votes
    """,
}
EXPECTED = {route: who for who, routes in ACCESS.items() for route in map(str.strip, routes.strip().splitlines())}
LETS_IN = {
    EVERYBODY: {"nobody", "ann", "bob", "operator", "admin"},
    PEOPLE: {"ann", "bob", "operator", "admin"},
    OPERATORS: {"operator", "admin"},
}
GOOD = ("nobody", "ann", "bob", "operator", "admin")
BAD = ("revoked", "expired")  # keys, which a route that asks for none does not look at
LONG = {"POST /api/baseline"}  # has the engine score everything: only those who may not are sent there
NONSENSE = {"nonsense": True}  # a body that nothing takes: who is let in changes nothing
NOTHING = {"cycle_id": "999"}  # in a path; of other kinds, any word
LOOKED_AT = {"operator": KeyRole.OPERATOR, "admin": KeyRole.ADMIN}


class Route(Struct, frozen=True):
    name: str
    method: str
    path: str
    places: tuple[str, ...]  # in the path
    takes_body: bool

    def at(self, found: dict[str, str]) -> str:
        """The path with its places filled."""
        path = self.path
        for place in self.places:
            path = path.replace("{" + place + "}", found.get(place, "nothing"))
        return path


def routes() -> dict[str, Route]:
    """All routes of the OpenAPI document by name: `GET /v1/me`."""
    paths = create_app(Path("nowhere"), Config(model=BUILTIN)).openapi_schema.to_schema()["paths"]
    found = {}
    for path, item in paths.items():
        for method, operation in item.items():
            places = tuple(one["name"] for one in operation.get("parameters", ()) if one["in"] == "path")
            name = f"{method.upper()} {path}"
            found[name] = Route(name, method.upper(), path, places, "requestBody" in operation)
    return found


ROUTES = routes()
OF_PEOPLE = [name for name in ROUTES if EXPECTED.get(name) == PEOPLE]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with scripted_service(tmp_path_factory.mktemp("matrix")) as (service, _):
        yield service


def make_keys(service: Service) -> dict[str, str]:
    """A new person with a key for each who may ask, but for nobody."""
    now_s = service.parts.clock()
    made = {}
    kept = []
    for name in (*GOOD[1:], *BAD):
        person = Person(new_id("person"), name, now_s)
        ends_at_s = now_s if name == "expired" else None
        key, made[name] = make_key(person.id, now_s, name, LOOKED_AT.get(name, KeyRole.PERSON), expires_at_s=ends_at_s)
        kept.append((name, person, key))

    async def write(connection: AsyncConnection) -> None:
        for name, person, key in kept:
            await insert_person(connection, person)
            await insert_key(connection, key)
            if name == "revoked":
                await revoke_key(connection, key.id, now_s)

    service.call(service.parts.database.write(write))
    return made


def test_it_is_said_of_every_route_for_whom_it_is() -> None:
    assert ROUTES.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_lets_in_whom_it_is_for_and_nobody_else(service: Service, name: str) -> None:
    route, keys = ROUTES[name], make_keys(service)
    seen = {}
    for who in (*GOOD, *BAD):
        expected = expected_status(name, who)
        if expected is None and name in LONG:
            continue
        body = NONSENSE if route.takes_body or route.method == "POST" else None
        headers = {"X-Requested-With": "ratchet"} if route.path == "/v1/session" else {}
        heard = visit(service.url, route.method, route.at(NOTHING), body, keys.get(who), headers=headers)
        seen[who] = heard.status
        if expected is not None:
            assert heard.status == expected, (who, heard.body[:300])
        else:
            assert heard.status not in (401, 403) and heard.status < 500, (who, heard.body[:300])
    assert len(seen) >= (3 if name in LONG else len(GOOD) + len(BAD))


def expected_status(name: str, who: str) -> int | None:
    """None for whoever is let in; what they get is then another matter."""
    lets_in = LETS_IN[EXPECTED[name]]
    if who in BAD:
        return None if not name.partition(" ")[2].startswith(("/v1/", "/api/")) else 401
    if who in lets_in:
        return None
    return 401 if who == "nobody" else 403


def bodies(talk: Talk) -> dict[str, list[dict[str, Any]]]:
    """What somebody would send who meant a person's things, by route."""
    question = {"model": "ratchet", "messages": [{"role": "user", "content": "Go on"}]}
    return {
        "POST /v1/chat/completions": [question | {"metadata": {"conversation_id": talk.conversation}}],
        "POST /v1/chat/completions/{completion_id}": [{"metadata": {"mine": "now"}}],
        "POST /v1/conversations/{conversation_id}": [{"title": "Mine now"}],
        "POST /v1/feedback": [{"completion_id": talk.answer, "thumb": "down"}],
        "POST /v1/me": [{"learn": False}],
    }


OWN = {"POST /v1/me", "DELETE /v1/me"}  # name nobody: they are of whoever asks


@pytest.fixture(scope="module")
def talk(service: Service) -> tuple[Talk, str]:
    """What Ann keeps here, and her key."""
    key = make_keys(service)["ann"]
    kept = keep_talk(service, key, title="Ann's sourdough")
    status, _ = service.request("POST", "/v1/feedback", {"completion_id": kept.answer, "comment": "Ann's own words"}, key)
    assert status == 200
    return kept, key


@pytest.mark.parametrize("who", ["bob", "operator", "admin"])
@pytest.mark.parametrize("name", OF_PEOPLE)
def test_nobody_reaches_what_is_anothers(service: Service, talk: tuple[Talk, str], name: str, who: str) -> None:
    (kept, key), route, other = talk, ROUTES[name], make_keys(service)[who]
    before = visit(service.url, "GET", "/v1/me/export", key=key)
    assert b"Ann's own words" in before.body
    at = {"conversation_id": kept.conversation, "completion_id": kept.answer}
    assert all(place in at for place in route.places), "say what a person has at this place"
    ways = bodies(kept).get(name, [None])
    assert route.method != "POST" or ways != [None], "say what somebody would send who meant another's things"
    for body in ways:
        check_kept_away(visit(service.url, route.method, route.at(at), body, other), name, route, kept)
    if route.method == "GET" and not route.places:
        for after in (kept.conversation, kept.answer):  # pages that begin after another's thing
            heard = visit(service.url, "GET", f"{route.path}?after={after}", key=other)
            assert not leaked(heard, kept)
    assert visit(service.url, "GET", "/v1/me/export", key=key).body == before.body


def check_kept_away(heard: Heard, name: str, route: Route, kept: Talk) -> None:
    """What is another's is not there, in the same words as what is nowhere; lists do not have it."""
    if route.places or (route.method == "POST" and name not in OWN):
        assert heard.status == 404, heard.body[:300]
    assert not leaked(heard, kept)


def leaked(heard: Heard, kept: Talk) -> list[str]:
    """What of the talk an answer has; an id that was asked for may be quoted in a refusal."""
    secrets = [kept.person, kept.conversation, kept.question, kept.answer, kept.again, "sourdough", "With flour", "Ann's own"]
    told = heard.body.decode(errors="replace")
    if heard.status == 404:
        told = told.replace(kept.answer, "").replace(kept.conversation, "")
    return [secret for secret in secrets if secret in told]


def test_both_ways_of_a_preference_must_be_ones_own(service: Service, talk: tuple[Talk, str]) -> None:
    bob = make_keys(service)["bob"]
    own = keep_talk(service, bob)
    said = {"completion_id": own.answer, "preferred_over": talk[0].answer}
    assert visit(service.url, "POST", "/v1/feedback", said, bob).status == 404
