"""Evidence is what the owner says now about complete answers, past the watermark, and nothing else."""

from __future__ import annotations

from itertools import count

from sqlalchemy.ext.asyncio import AsyncConnection

from storage import feedback as sql
from storage.records import Feedback, FeedbackKind, Reason
from storage.tables import feedback
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction

THUMB, COMMENT, CORRECTION = FeedbackKind.THUMB, FeedbackKind.COMMENT, FeedbackKind.CORRECTION
NUMBERS = count()


def said(message_id: str, kind: FeedbackKind, value: object, person_id: str = "owner", at_s: float = 5.0) -> Feedback:
    return Feedback(f"feedback-{next(NUMBERS)}", message_id, person_id, kind, value, at_s, "submission")


def test_evidence_is_the_owners_newest_word_with_its_context(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        rows = [said("second", THUMB, "down"), said("second", THUMB, "up", at_s=7.0), said("second", COMMENT, "good")]
        reasons = said("second", FeedbackKind.REASON, ["too_long", "clear", "wrong"], at_s=6.0)
        await sql.insert_feedback(connection, [*rows, reasons])
        [one] = await sql.select_evidence(connection, 0, 10)
        assert (one.thumb, one.comment, one.correction) == ("up", "good", None)
        assert one.reasons == (Reason.WRONG, Reason.TOO_LONG)
        assert (one.message.id, one.person_id, one.position, one.updated_at_s) == ("second", "owner", 4, 7.0)
        assert [message.id for message in one.context] == ["question", "answer", "follow-up"]

    in_transaction(place, body)


def test_a_preference_comes_with_the_other_answer_while_it_is_there(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await sql.insert_feedback(connection, [said("answer", FeedbackKind.PREFERENCE, "again"), said("second", THUMB, "up")])
        first, second = await sql.select_evidence(connection, 0, 10)
        assert first.preferred_over is not None and second.preferred_over is None
        assert (first.message.id, first.preferred_over.id, first.preferred_over.content) == ("answer", "again", "text of again")
        for unusable in ("cut", "nowhere", None):
            await sql.insert_feedback(connection, [said("answer", FeedbackKind.PREFERENCE, unusable)])
            [one] = await sql.select_evidence_of(connection, ["answer"])
            assert one.preferred_over is None

    in_transaction(place, body)


def test_preferences_are_found_past_a_position_beside_what_else_was_said(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        rows = [said("second", THUMB, "up"), said("answer", FeedbackKind.PREFERENCE, "again"), said("answer", THUMB, "up")]
        await sql.insert_feedback(connection, rows)
        [one] = await sql.select_preferences(connection, 0, 10)
        assert (one.message.id, one.thumb, one.position) == ("answer", "up", 2)
        assert one.preferred_over is not None and one.preferred_over.id == "again"
        assert await sql.select_preferences(connection, 2, 10) == []

    in_transaction(place, body)


def test_what_others_say_is_ignored(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await sql.insert_feedback(connection, [said("again", THUMB, "up", "other")])
        assert await sql.select_evidence(connection, 0, 10) == []
        await sql.insert_feedback(connection, [said("answer", THUMB, "up"), said("answer", THUMB, "down", "other")])
        [one] = await sql.select_evidence(connection, 0, 10)
        assert (one.message.id, one.thumb, one.position) == ("answer", "up", 2)
        assert await sql.count_evidence(connection, 0) == sql.EvidenceCount(1, 1, up=1, down=0, corrections=0)

    in_transaction(place, body)


def test_the_watermark_lets_through_what_is_new_with_what_was_said_before(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        old = [said("answer", THUMB, "down"), said("again", THUMB, "up"), said("second", THUMB, "up")]
        await sql.insert_feedback(connection, old)
        watermark = await sql.latest_position(connection)
        new = [said("second", CORRECTION, "better"), said("answer", CORRECTION, "right")]
        await sql.insert_feedback(connection, new)
        evidence = await sql.select_evidence(connection, watermark, 10)
        found = [(one.message.id, one.thumb, one.correction, one.position) for one in evidence]
        assert found == [("second", "up", "better", 4), ("answer", "down", "right", 5)]
        assert await sql.select_evidence(connection, watermark, 1) == evidence[:1]
        counted = await sql.count_evidence(connection, watermark)
        assert counted == sql.EvidenceCount(rows=2, people=1, up=1, down=1, corrections=2)
        assert await sql.count_by_person(connection, watermark) == [2]
        assert await sql.select_evidence(connection, await sql.latest_position(connection), 10) == []

    in_transaction(place, body)


def test_questions_and_cut_answers_are_no_evidence(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await sql.insert_feedback(connection, [said("cut", THUMB, "up"), said("question", THUMB, "up")])
        assert await sql.select_evidence(connection, 0, 10) == []
        assert await sql.count_evidence(connection, 0) == sql.EvidenceCount(0, 0, 0, 0, 0)

    in_transaction(place, body)


def test_a_thumb_taken_back_is_no_thumb(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        await sql.insert_feedback(connection, [said("answer", THUMB, "up"), said("answer", THUMB, None)])
        [one] = await sql.select_evidence(connection, 0, 10)
        assert one.thumb is None
        assert (await sql.count_evidence(connection, 0)).up == 0

    in_transaction(place, body)


def test_current_is_the_newest_of_each_kind_and_a_submission_is_found_again(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        rows = [said("answer", THUMB, "up"), said("answer", COMMENT, "hm"), said("answer", THUMB, "down")]
        await sql.insert_feedback(connection, rows)
        assert await sql.select_current(connection, "answer", "owner") == {COMMENT: rows[1], THUMB: rows[2]}
        assert await sql.select_current(connection, "answer", "other") == {}
        assert await sql.select_submission(connection, "owner", "submission") == rows
        assert await sql.select_submission(connection, "other", "submission") == []

    in_transaction(place, body)


def test_a_position_is_never_given_twice(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        assert await sql.latest_position(connection) == 0
        await sql.insert_feedback(connection, [said("answer", THUMB, "up")])
        await connection.execute(feedback.delete())
        await sql.insert_feedback(connection, [said("answer", THUMB, "up")])
        assert await sql.latest_position(connection) == 2

    in_transaction(place, body)
