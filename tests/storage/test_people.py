"""A key leads to its person and to no one else."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.people import insert_key, insert_person, select_person, select_person_by_key
from storage.records import ApiKey
from tests.databases import Place
from tests.storage.loop import in_transaction, person


def test_a_key_leads_to_its_person(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for id in ("ann", "bob"):
            await insert_person(connection, person(id))
            await insert_key(connection, ApiKey(sha256=f"of {id}", person_id=id, created_at_s=1.0))
        assert await select_person(connection, "ann") == person("ann")
        assert await select_person_by_key(connection, "of bob") == person("bob")
        assert await select_person_by_key(connection, "of no one") is None

    in_transaction(place, body)


def test_a_key_without_a_person_is_refused(place: Place) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        in_transaction(place, lambda connection: insert_key(connection, ApiKey("x", "nobody", 1.0)))
