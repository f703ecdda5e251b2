"""Answers are found by what is known of them, page by page, and what is erased is not found."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.completions import delete_completion
from storage.cycles import insert_cycle
from storage.datasets import insert_dataset
from storage.feedback import insert_feedback
from storage.people import update_consent
from storage.records import Dataset, DatasetRow, Decision, Feedback, FeedbackKind, Reason, Review
from storage.reviews import decide_message, hold
from storage.search import Wanted, select_found, select_lessons, select_opinions
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction

ALL = ["cut", "second", "again", "answer"]  # newest first


async def say(connection: AsyncConnection, message_id: str, kind: FeedbackKind, value: object, by: str = "owner") -> None:
    id = f"{message_id}-{kind}-{value}-{by}"
    await insert_feedback(connection, [Feedback(id, message_id, by, kind, value, 3.0, id)])


async def found(connection: AsyncConnection, **wanted: Any) -> list[str]:
    return [one.id for one in await select_found(connection, Wanted(**wanted), 10)]


async def furnish_opinions(connection: AsyncConnection) -> None:
    await furnish(connection)
    await say(connection, "answer", FeedbackKind.THUMB, "down")
    await say(connection, "answer", FeedbackKind.THUMB, "up")
    await say(connection, "answer", FeedbackKind.REASON, ["too_long", "wrong"])
    await say(connection, "again", FeedbackKind.THUMB, "down")
    await say(connection, "again", FeedbackKind.THUMB, "up", by="other")
    await say(connection, "second", FeedbackKind.THUMB, "up")
    await say(connection, "second", FeedbackKind.THUMB, None)
    cycle = await insert_cycle(connection, "test", "mixed", 1.0)
    await hold(connection, [Review(id, "owner", cycle.id, "looks like one crowd", "", 5.0) for id in ("again", "second")])
    await decide_message(connection, "second", Decision.ACCEPTED, 6.0)
    rows = [
        DatasetRow("d1", 0, "answer", "owner", "thumb", "train", 0.5),
        DatasetRow("d1", 1, "again", "owner", "thumb", "dropped", 0.0, "cap"),
    ]
    await insert_dataset(connection, Dataset("d1", cycle.id, "", 1, 2.0, {}), rows)


def test_each_filter_leaves_what_it_says(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_opinions(connection)
        assert await found(connection) == ALL
        assert await found(connection, thumb="up") == ["answer"], "the owner's newest"
        assert await found(connection, thumb="down") == ["again"]
        assert await found(connection, thumb="none") == ["cut", "second"]
        assert await found(connection, reason=Reason.TOO_LONG) == ["answer"]
        assert await found(connection, reason=Reason.STYLE) == []
        assert await found(connection, text="OF QUESTION") == ["again", "answer"], "in what was asked"
        assert await found(connection, text="of second") == ["second"]
        assert await found(connection, text="%") == []
        assert await found(connection, held=True) == ["again"]
        assert await found(connection, held=False) == ["cut", "second", "answer"]
        assert await found(connection, person_id="other") == []
        assert await found(connection, since_s=2.0, until_s=2.5) == ALL
        assert await found(connection, until_s=2.0) == [] and await found(connection, since_s=2.1) == []
        assert await found(connection, version="r1") == []

    in_transaction(place, body)


def test_an_answer_comes_with_its_question_opinions_and_lessons(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_opinions(connection)
        [answer] = await select_found(connection, Wanted(thumb="up"), 10)
        assert (answer.question, answer.content, answer.latency_ms) == ("text of question", "text of answer", 12.5)
        [held] = await select_found(connection, Wanted(held=True), 10)
        assert (held.held_reason, held.decision) == ("looks like one crowd", None)
        said = await select_opinions(connection, ALL)
        assert said["answer"][FeedbackKind.THUMB].value == "up" and said["again"][FeedbackKind.THUMB].value == "down"
        lessons = await select_lessons(connection, ALL)
        assert {id: [(one.dataset_id, one.split, one.drop_reason) for one in ones] for id, ones in lessons.items()} == {
            "answer": [("d1", "train", None)],
            "again": [("d1", "dropped", "cap")],
        }

    in_transaction(place, body)


def test_pages_follow_each_other(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_opinions(connection)
        assert [one.id for one in await select_found(connection, Wanted(), 2)] == ["cut", "second"]
        assert [one.id for one in await select_found(connection, Wanted(), 9, after="second")] == ["again", "answer"]
        with pytest.raises(LookupError, match="'nothing'"):
            await select_found(connection, Wanted(), 9, after="nothing")

    in_transaction(place, body)


def test_what_is_deleted_or_withheld_is_not_found(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish_opinions(connection)
        await delete_completion(connection, "answer", "owner")  # its place stays: the talk went on below
        assert await found(connection) == ["cut", "second", "again"]
        await update_consent(connection, "owner", False)
        assert await found(connection) == []
        assert await found(connection, everyone=True) == ["cut", "second", "again"]

    in_transaction(place, body)
