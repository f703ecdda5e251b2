"""People learn what is kept of them, say whether it may be learnt from, and take all of it along."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from service.export import export
from storage import kept
from storage.conversations import insert_conversation, insert_messages
from storage.database import Database
from storage.documents import insert_documents
from storage.feedback import insert_feedback
from storage.people import insert_person
from storage.records import (
    Conversation,
    Document,
    DocumentKind,
    Feedback,
    FeedbackKind,
    Message,
    MessageStatus,
    Person,
    Role,
)
from tests.conftest import Service
from tests.databases import Place
from tests.service.talks import keep_talk
from tests.storage.loop import with_database

NOTHING = {"conversations": 0, "messages": 0, "feedback": 0, "documents": 0}
ANN, BOB = Person("ann", "Ann", 1.0, False), Person("bob", "Bob", 2.0)


@pytest.mark.engine
def test_somebody_new_is_told_that_nothing_is_kept(service: Service) -> None:
    status, me = service.request("GET", "/v1/me")
    assert (status, me["learn"], me["kept"]) == (200, True, NOTHING)
    people = service.request("GET", "/api/people", key=service.key)[1]["data"]
    assert me["id"] not in [one["id"] for one in people]  # asking keeps nothing
    status, export = service.request("GET", "/v1/me/export")
    assert status == 200 and (export["person"]["id"], export["conversations"]) == (me["id"], [])


@pytest.mark.engine
def test_consent_decides_what_counts(service: Service) -> None:
    def evidence() -> int:
        return int(service.request("GET", "/api/status", key=service.key)[1]["evidence"]["rows"])

    status, refused = service.request("POST", "/v1/me", {"learn": False})
    assert (status, refused["learn"]) == (200, False)
    assert service.request("POST", "/v1/me", {"learn": "maybe"})[0] == 400
    talk = keep_talk(service)  # says yes
    assert service.request("POST", "/v1/feedback", {"completion_id": talk.answer, "thumb": "up"})[0] == 200
    assert evidence() == 1
    assert service.request("POST", "/v1/me", {"learn": False})[1]["learn"] is False
    assert evidence() == 0
    me = service.request("GET", "/v1/me")[1]
    assert (me["learn"], me["kept"]) == (False, NOTHING | {"conversations": 1, "messages": 3, "feedback": 1})
    assert service.request("POST", "/v1/me", {"learn": True})[1]["learn"] is True
    assert evidence() == 1


@pytest.mark.engine
def test_the_export_holds_ones_own_and_nobody_elses(service: Service) -> None:
    talk, theirs = keep_talk(service), keep_talk(service, "stranger", "Salt")
    service.request("POST", "/v1/feedback", {"completion_id": talk.answer, "comment": "mine"})
    status, export = service.request("GET", "/v1/me/export")
    [conversation] = export["conversations"]
    assert (status, conversation["id"], conversation["title"]) == (200, talk.conversation, "Bread")
    assert [message["id"] for message in conversation["messages"]] == [talk.question, talk.answer, talk.again]
    assert [one["value"] for one in export["feedback"]] == ["mine"]
    assert theirs.conversation not in str(export) and "Salt" not in str(export)


async def furnish(connection: AsyncConnection, talks: int, messages: int) -> None:
    """Much of Ann's, and one thing of each kind of Bob's."""
    for person, many, long in ((ANN, talks, messages), (BOB, 1, 1)):
        await insert_person(connection, person)
        for number in range(many):
            await insert_conversation(connection, Conversation(f"{person.id}-{number:03}", person.id, 1.0, f"of {person.name}"))
        first = f"{person.id}-000"
        ids = [f"{first}-{number}" for number in range(long)]
        said = [Message(id, first, person.id, None, Role.ASSISTANT, id, MessageStatus.COMPLETE, 1.0) for id in ids]
        await insert_messages(connection, said)
        await insert_feedback(
            connection, [Feedback(f"f-{id}", id, person.id, FeedbackKind.COMMENT, f"on {id}", 2.0, id) for id in ids]
        )
        written = Document(f"d-{person.id}", DocumentKind.CORPUS, "x", "en", "own", "CC0-1.0", person.id, "A tale.", 3.0)
        await insert_documents(connection, [written])


def test_an_export_of_many_pages_is_whole_and_no_part_of_it_is_large(place: Place) -> None:
    talks, messages = kept.PAGE + 5, 2 * kept.PAGE + 5

    async def body(db: Database) -> list[bytes]:
        await db.write(lambda connection: furnish(connection, talks, messages))
        return [part async for part in export(db, ANN)]

    parts = with_database(place, body)
    document: Any = msgspec.json.decode(b"".join(parts))
    assert document["person"] == {"id": "ann", "name": "Ann", "created_at_s": 1.0, "learn": False}
    assert [one["id"] for one in document["conversations"]] == [f"ann-{number:03}" for number in range(talks)]
    expected = [f"ann-000-{number}" for number in range(messages)]
    assert [one["id"] for one in document["conversations"][0]["messages"]] == expected
    assert [one["messages"] for one in document["conversations"][1:]] == [[]] * (talks - 1)
    assert [one["value"] for one in document["feedback"]] == [f"on {id}" for id in expected]
    assert [one["id"] for one in document["documents"]] == ["d-ann"]
    assert max(part.count(b'"created_at_s"') for part in parts) <= kept.PAGE


def test_counts_are_of_one_person(place: Place) -> None:
    async def body(db: Database) -> tuple[kept.Counts, ...]:
        await db.write(lambda connection: furnish(connection, 3, 7))
        ids = ("ann", "bob", "nobody")
        return tuple([await db.read(lambda connection, id=id: kept.count_kept(connection, id)) for id in ids])

    assert with_database(place, body) == (kept.Counts(3, 7, 7, 1), kept.Counts(1, 1, 1, 1), kept.Counts(0, 0, 0, 0))
