"""Messages come back as they went in, in the order of the talk, to their owner only."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from storage import conversations as sql
from storage.records import Conversation
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction, message


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
