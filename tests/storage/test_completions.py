"""Stored completions are listed, changed and deleted by their owner, and leave no words behind."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import completions as sql
from storage.conversations import insert_message, select_conversation, select_messages, select_thread
from storage.feedback import insert_feedback, select_current
from storage.records import Feedback, FeedbackKind, MessageStatus
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction, message

ODD_KEYS = ["plain", 'a"b', "a\\b", "a.b", "0", "$.x", "größe", "😀", "a'b", "%"]


async def ids(connection: AsyncConnection, limit: int = 10, **filters: object) -> list[str]:
    return [one.id for one in await sql.select_completions(connection, "owner", limit, **filters)]


def test_answers_come_in_pages_in_both_orders_to_their_owner_only(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        assert await ids(connection) == ["answer", "again", "second", "cut"]
        assert await ids(connection, 2, after="answer") == ["again", "second"]
        assert await ids(connection, order="desc") == ["cut", "second", "again", "answer"]
        assert await ids(connection, order="desc", after="again") == ["answer"]
        assert await ids(connection, after="cut") == []
        assert await sql.select_completions(connection, "other", 10) == []

    in_transaction(place, body)


def test_a_page_after_an_answer_that_is_not_theirs_is_refused(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        with pytest.raises(LookupError, match="'nothing'"):
            await sql.select_completions(connection, "owner", 10, after="nothing")
        with pytest.raises(LookupError, match="'answer'"):
            await sql.select_completions(connection, "other", 10, after="answer")

    in_transaction(place, body)


def test_questions_and_words_put_into_the_models_mouth_are_no_completions(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await insert_message(connection, message("forged", "question", status=MessageStatus.CLIENT))
        assert "forged" not in await ids(connection)
        assert await sql.select_completion(connection, "forged", "owner") is None
        assert await sql.select_completion(connection, "question", "owner") is None
        assert await sql.select_completion(connection, "answer", "other") is None
        assert await sql.select_completion(connection, "answer", "owner") is not None

    in_transaction(place, body)


def test_they_are_found_by_the_version_that_wrote_them(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        for id, version in (("a1", "r1-aa"), ("a2", "r2-bb"), ("a3", "r1-aa")):
            await insert_message(connection, message(id, "question", engine_model=version))
        assert await ids(connection, model="r1-aa") == ["a1", "a3"]
        assert await ids(connection, model="r1") == []

    in_transaction(place, body)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_they_are_found_by_any_key_and_value(place: Place, key: str) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await sql.update_metadata(connection, "again", "owner", {key: f"is {key}", "colour": "red"})
        await sql.update_metadata(connection, "second", "owner", {"colour": "red"})
        assert await ids(connection, metadata={key: f"is {key}"}) == ["again"]
        assert await ids(connection, metadata={key: f"is {key}", "colour": "red"}) == ["again"]
        assert await ids(connection, metadata={key: "else"}) == []
        assert await ids(connection, metadata={f"is {key}": key}) == []
        assert await ids(connection, metadata={"colour": "red"}) == ["again", "second"]

    in_transaction(place, body)


def test_metadata_is_replaced_whole_and_by_the_owner_only(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await sql.update_metadata(connection, "answer", "owner", {"a": "1", "b": "2"})
        await sql.update_metadata(connection, "answer", "owner", {"b": "3"})
        with pytest.raises(LookupError, match="'answer'"):
            await sql.update_metadata(connection, "answer", "other", {})
        found = await sql.select_completion(connection, "answer", "owner")
        assert found is not None and found.metadata == {"b": "3"}

    in_transaction(place, body)


def test_an_answer_others_follow_leaves_its_place_without_a_word(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        vote = Feedback("f", "answer", "owner", FeedbackKind.COMMENT, "my words", 5.0, "s")
        await insert_feedback(connection, [vote])
        await sql.update_metadata(connection, "answer", "owner", {"a": "1"})
        await sql.delete_completion(connection, "answer", "owner")
        _, left, *_ = thread = await select_thread(connection, "second")
        assert [one.id for one in thread] == ["question", "answer", "follow-up", "second"]
        assert (left.content, left.token_ids, left.prompt_token_ids, left.metadata) == ("", (), (), {})
        assert left.status is MessageStatus.DELETED
        assert await select_current(connection, "answer", "owner") == {}
        assert await sql.select_completion(connection, "answer", "owner") is None
        with pytest.raises(LookupError):
            await sql.delete_completion(connection, "answer", "owner")

    in_transaction(place, body)


def test_the_last_answer_of_a_branch_takes_what_led_only_to_it(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)

        async def left() -> list[str]:
            return [one.id for one in await select_messages(connection, "conversation", "owner")]

        await sql.delete_completion(connection, "cut", "owner")
        assert await left() == ["question", "answer", "again", "follow-up", "second"]
        await sql.delete_completion(connection, "second", "owner")
        assert await left() == ["question", "answer", "again"]
        await sql.delete_completion(connection, "again", "owner")
        await sql.delete_completion(connection, "answer", "owner")
        assert await left() == []
        assert await select_conversation(connection, "conversation", "owner") is None

    in_transaction(place, body)


def test_a_place_left_empty_goes_with_the_last_answer_below_it(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        for id in ("again", "answer", "cut", "second"):
            await sql.delete_completion(connection, id, "owner")
        assert await select_messages(connection, "conversation", "owner") == []

    in_transaction(place, body)


def test_nobody_deletes_what_is_not_theirs(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        with pytest.raises(LookupError, match="'answer'"):
            await sql.delete_completion(connection, "answer", "other")
        with pytest.raises(LookupError, match="'question'"):
            await sql.delete_completion(connection, "question", "owner")
        assert len(await select_messages(connection, "conversation", "owner")) == 6

    in_transaction(place, body)
