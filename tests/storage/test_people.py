"""A key leads to its person and to no one else, and nobody is learnt from who does not want it."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.feedback import EvidenceCount, count_evidence, insert_feedback, select_evidence
from storage.people import (
    ensure_person,
    insert_person,
    select_people,
    select_person,
    update_consent,
)
from storage.records import Feedback, FeedbackKind, Person
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction, person


def test_consent_is_given_until_it_is_taken_back_and_can_be_given_again(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for id in ("ann", "bob"):
            await ensure_person(connection, person(id))
        await update_consent(connection, "ann", False)
        await ensure_person(connection, person("ann"))  # coming back changes nothing
        assert [(one.id, one.learn) for one in await select_people(connection, 10)] == [("ann", False), ("bob", True)]
        await update_consent(connection, "ann", True)
        assert await select_person(connection, "ann") == person("ann")
        with pytest.raises(LookupError, match="'nobody'"):
            await update_consent(connection, "nobody", False)

    in_transaction(place, body)


def test_who_says_no_is_neither_collected_nor_counted(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await insert_feedback(connection, [Feedback("f", "answer", "owner", FeedbackKind.THUMB, "up", 5.0, "s")])
        before = await select_evidence(connection, 0, 10), await count_evidence(connection, 0)
        assert [one.message.id for one in before[0]] == ["answer"]
        await update_consent(connection, "owner", False)
        assert await select_evidence(connection, 0, 10) == []
        assert await count_evidence(connection, 0) == EvidenceCount(0, 0, 0, 0, 0)
        await update_consent(connection, "other", False)  # theirs is not the owner's
        await update_consent(connection, "owner", True)
        assert (await select_evidence(connection, 0, 10), await count_evidence(connection, 0)) == before

    in_transaction(place, body)


def test_people_come_in_pages(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for id in ("c", "a", "b"):
            await insert_person(connection, person(id))
        assert [one.id for one in await select_people(connection, 2)] == ["a", "b"]
        assert [one.id for one in await select_people(connection, 2, "b")] == ["c"]

    in_transaction(place, body)


def test_people_are_found_by_a_part_of_their_name_or_how_their_id_begins(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for id, name in (("p-1", "Ann Lee"), ("p-2", "Leeds"), ("q-3", "100%")):
            await insert_person(connection, Person(id, name, 1.0))
        for text, ids in (("lee", ["p-1", "p-2"]), ("p-", ["p-1", "p-2"]), ("-1", []), ("%", ["q-3"]), ("", ["p-1", "p-2", "q-3"])):
            assert [person.id for person in await select_people(connection, 9, text=text)] == ids
        assert [person.id for person in await select_people(connection, 9, after="p-1", text="lee")] == ["p-2"]

    in_transaction(place, body)
