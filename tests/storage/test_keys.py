"""Keys lead to their people, come in pages, are replaced with an overlap, and end."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.keys import insert_key, note_uses, operates, replace_key, revoke_key, select_key, select_keys, select_known
from storage.people import insert_person
from storage.records import ApiKey, KeyRole, Session
from storage.sessions import delete_session, delete_sessions_of_key, insert_session, select_session
from tests.databases import Place
from tests.storage.loop import in_transaction, person


def key(id: str, person_id: str = "ann", at_s: float = 1.0) -> ApiKey:
    return ApiKey(f"sha of {id}", person_id, at_s, id, "rt_abc", f"for {id}", scopes=("chat",))


def test_a_key_leads_to_its_person(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for id in ("ann", "bob"):
            await insert_person(connection, person(id))
            await insert_key(connection, key(f"of-{id}", id))
        assert await select_known(connection, "sha of of-bob") == (key("of-bob", "bob"), person("bob"))
        assert await select_known(connection, "of no one") is None
        assert await select_key(connection, "of-ann") == key("of-ann")
        with pytest.raises(LookupError, match="no key 'key-9'"):
            await select_key(connection, "key-9")

    in_transaction(place, body)


def test_a_key_without_a_person_is_refused(place: Place) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        in_transaction(place, lambda connection: insert_key(connection, key("k", "nobody")))


def test_two_keys_cannot_have_one_id(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_person(connection, person("ann"))
        await insert_key(connection, key("k"))
        await insert_key(connection, replace(key("k"), sha256="another"))

    with pytest.raises(IntegrityError, match=r"(?i)unique"):
        in_transaction(place, body)


def test_keys_come_in_pages_newest_first(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for id in ("ann", "bob"):
            await insert_person(connection, person(id))
        for id, of, at_s in (("a", "ann", 1.0), ("c", "bob", 2.0), ("b", "ann", 2.0), ("d", "ann", 3.0)):
            await insert_key(connection, key(id, of, at_s))
        assert [one.id for one in await select_keys(connection, 2)] == ["d", "b"]
        assert [one.id for one in await select_keys(connection, 9, after="b")] == ["c", "a"]
        assert [one.id for one in await select_keys(connection, 9, person_id="ann")] == ["d", "b", "a"]
        with pytest.raises(LookupError, match="no key 'x'"):
            await select_keys(connection, 9, after="x")

    in_transaction(place, body)


@pytest.mark.parametrize(("own_end_s", "ends_at_s"), [(None, 110.0), (50.0, 50.0), (500.0, 110.0)])
def test_a_replaced_key_works_on_beside_its_successor_but_no_longer_than_it_would_have(
    place: Place, own_end_s: float | None, ends_at_s: float
) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_person(connection, person("ann"))
        old = replace(key("old"), expires_at_s=own_end_s)
        await insert_key(connection, old)
        ended = await replace_key(connection, old, key("new", at_s=10.0), overlap_s=100.0)
        assert (ended.expires_at_s, ended.rotated_at_s, ended.replaced_by) == (ends_at_s, 10.0, "new")
        assert await select_key(connection, "old") == ended
        assert await select_key(connection, "new") == key("new", at_s=10.0)

    in_transaction(place, body)


def test_a_key_is_revoked_once_and_its_last_use_is_kept(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_person(connection, person("ann"))
        await insert_key(connection, key("k"))
        await note_uses(connection, {"sha of k": 7.0, "sha of nothing": 8.0})
        assert (await select_key(connection, "k")).last_used_at_s == 7.0
        assert (await revoke_key(connection, "k", 9.0)).revoked_at_s == 9.0
        assert (await revoke_key(connection, "k", 11.0)).revoked_at_s == 9.0
        with pytest.raises(LookupError, match="no key 'x'"):
            await revoke_key(connection, "x", 9.0)

    in_transaction(place, body)


def test_who_ever_had_an_operators_key_is_known(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for id in ("ann", "bob"):
            await insert_person(connection, person(id))
            await insert_key(connection, key(f"of-{id}", id))
        await insert_key(connection, replace(key("more", "bob"), role=KeyRole.OPERATOR))
        assert [await operates(connection, id) for id in ("ann", "bob", "nobody")] == [False, True, False]

    in_transaction(place, body)


def test_sessions_end_with_their_time_or_with_their_key(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        over, first, second, other = (
            Session("over", "k", "ann", 0.0, 5.0),
            Session("first", "k", "ann", 1.0, 50.0),
            Session("second", "k", "ann", 5.0, 50.0),
            Session("other", "l", "bob", 5.0, 50.0),
        )
        for session in (over, first, second, other):
            await insert_session(connection, session)
        assert await select_session(connection, "over") is None
        assert await select_session(connection, "second") == second
        await delete_session(connection, "second")
        await delete_sessions_of_key(connection, "k")
        assert [await select_session(connection, sha256) for sha256 in ("first", "second", "other")] == [None, None, other]

    in_transaction(place, body)
