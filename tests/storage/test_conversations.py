"""Messages come back as they went in, in the order of the talk, to their owner only."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import conversations as sql
from storage.feedback import insert_feedback, latest_position
from storage.people import insert_person
from storage.records import Conversation, Feedback, FeedbackKind
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction, message, person


def test_a_message_comes_back_as_it_went_in(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        expected = message("answer", "question", prompt_token_ids=(1, 2), token_ids=(3, 4, 5), latency_ms=12.5)
        assert await sql.select_message(connection, "answer") == expected
        assert await sql.select_message(connection, "nothing") is None
        assert await sql.count_messages(connection, "conversation") == 6

    in_transaction(place, body)


def test_a_thread_runs_from_the_root_and_skips_siblings(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        thread = await sql.select_thread(connection, "second")
        assert [one.id for one in thread] == ["question", "answer", "follow-up", "second"]
        assert [one.id for one in await sql.select_thread(connection, "question")] == ["question"]
        assert await sql.select_thread(connection, "nothing") == ()

    in_transaction(place, body)


def test_children_are_the_regenerations_in_order(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        children = await sql.select_children(connection, "conversation", "question")
        assert [one.id for one in children] == ["answer", "again"]
        assert [one.id for one in await sql.select_children(connection, "conversation", None)] == ["question"]
        assert await sql.select_children(connection, "another", None) == []

    in_transaction(place, body)


def test_only_the_owner_finds_them(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        found = await sql.select_conversation(connection, "conversation", "owner")
        assert found == Conversation("conversation", "owner", 1.0)
        assert await sql.select_conversation(connection, "conversation", "other") is None
        assert await sql.select_owned_message(connection, "answer", "owner") is not None
        assert await sql.select_owned_message(connection, "answer", "other") is None

    in_transaction(place, body)


async def furnish_many(connection: AsyncConnection, *talks: tuple[str, float, str]) -> None:
    """Conversations of the owner, as (id, when last talked in, title), each with one message of its title backwards."""
    await insert_person(connection, person("owner"))
    await insert_person(connection, person("other"))
    for id, updated_at_s, title in talks:
        await sql.insert_conversation(connection, Conversation(id, "owner", 1.0, title, updated_at_s))
        await sql.insert_message(connection, message(f"of {id}", None, text=title[::-1], conversation_id=id))


async def ids(connection: AsyncConnection, limit: int = 10, after: str | None = None, search: str = "") -> list[str]:
    return [one.id for one in await sql.select_conversations(connection, "owner", limit, after, search)]


def test_pages_begin_with_the_one_last_talked_in_and_skip_none(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_many(connection, ("a", 3.0, ""), ("b", 5.0, ""), ("c", 3.0, ""), ("d", 1.0, ""), ("e", 3.0, ""))
        assert await ids(connection) == ["b", "e", "c", "a", "d"]  # at the same time: by id
        pages, after = [], None
        while page := await ids(connection, 2, after):
            pages.append(page)
            after = page[-1]
        assert pages == [["b", "e"], ["c", "a"], ["d"]]
        await sql.touch_conversation(connection, "d", 9.0)
        assert (await ids(connection, 1)) == ["d"]
        assert await sql.select_conversations(connection, "other", 10) == []

    in_transaction(place, body)


def test_a_page_after_a_conversation_that_is_not_theirs_is_refused(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_many(connection, ("a", 3.0, ""))
        for who, after in (("owner", "nothing"), ("other", "a")):
            with pytest.raises(LookupError, match=repr(after)):
                await sql.select_conversations(connection, who, 10, after)

    in_transaction(place, body)


def test_search_finds_titles_and_messages_and_takes_its_words_as_they_are(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_many(connection, ("a", 3.0, "Sourdough 100%"), ("b", 2.0, "straw_berries"), ("c", 1.0, "größe"))
        assert await ids(connection, search="SOUR") == ["a"]
        assert await ids(connection, search="%001") == ["a"]  # in a message
        assert await ids(connection, search="0%") == ["a"]
        assert await ids(connection, search="_") == ["b"]
        assert await ids(connection, search="größe") == ["c"]
        assert await ids(connection, search="r") == ["a", "b", "c"]
        assert await ids(connection, search="r", after="a", limit=1) == ["b"]
        assert await ids(connection, search="\\") == []
        assert await sql.select_conversations(connection, "other", 10, search="r") == []

    in_transaction(place, body)


def test_only_the_owner_renames_it(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await sql.update_title(connection, "conversation", "owner", "Bread")
        for who, id in (("other", "conversation"), ("owner", "nothing")):
            with pytest.raises(LookupError, match=repr(id)):
                await sql.update_title(connection, id, who, "Mine")
        found = await sql.select_conversation(connection, "conversation", "owner")
        assert found is not None and found.title == "Bread"

    in_transaction(place, body)


def test_a_deleted_conversation_takes_its_messages_and_their_feedback(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await sql.insert_conversation(connection, Conversation("kept", "other", 1.0))
        await sql.insert_message(connection, message("theirs", None, conversation_id="kept", person_id="other"))
        votes = [Feedback(id, id, "owner", FeedbackKind.THUMB, "up", 5.0, id) for id in ("theirs", "answer", "second")]
        await insert_feedback(connection, votes)
        with pytest.raises(LookupError, match="'conversation'"):
            await sql.delete_conversation(connection, "conversation", "other")
        await sql.delete_conversation(connection, "conversation", "owner")
        assert await sql.select_conversation(connection, "conversation", "owner") is None
        assert await sql.select_message(connection, "answer") is None
        assert await sql.select_message(connection, "theirs") is not None
        assert await latest_position(connection) == 1

    in_transaction(place, body)


def test_messages_of_all_branches_come_parents_first(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        found = await sql.select_messages(connection, "conversation", "owner")
        seen: set[str | None] = {None}
        for one in found:
            assert one.parent_id in seen
            seen.add(one.id)
        assert len(found) == 6
        assert await sql.select_messages(connection, "conversation", "other") == []

    in_transaction(place, body)


def test_the_version_of_a_conversation_is_that_of_its_newest_answer(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        assert await sql.select_last_version(connection, "conversation") is None
        for id, version in (("first", "r1"), ("last", "r2"), ("refused", None)):
            await sql.insert_message(connection, message(id, "follow-up", adapter=version, engine_model=version))
        assert await sql.select_last_version(connection, "conversation") == "r2"
        assert await sql.select_last_version(connection, "nothing") is None

    in_transaction(place, body)
