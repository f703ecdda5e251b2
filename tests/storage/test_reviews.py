"""What is held back stays visible until it is decided, and a decision stays."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.cycles import insert_cycle, update_cycle
from storage.datasets import insert_dataset
from storage.people import update_consent
from storage.records import CycleState, Dataset, DatasetRow, Decision, Review
from storage.reviews import (
    HeldCount,
    count_reasons,
    decide_cluster,
    decide_message,
    hold,
    let_pass,
    select_decisions,
    select_held,
    select_pending_ids,
)
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction

ACCEPTED, REJECTED = Decision.ACCEPTED, Decision.REJECTED


def review(id: str, at_s: float = 5.0, **more: object) -> Review:
    return msgspec.structs.replace(Review(id, "owner", 1, "new here", "", at_s), **more)


async def begin(connection: AsyncConnection, *held: Review) -> None:
    await furnish(connection)
    for _ in range(2):
        cycle = await insert_cycle(connection, "manual", "mixed", 1.0)
        if cycle.id == 1:
            await update_cycle(connection, 1, state=CycleState.REJECTED)
    await hold(connection, held)


def test_what_is_held_shows_its_question_and_answer_newest_first(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await begin(connection, review("answer"), review("second", 6.0, cluster="crowd:1"), review("again", 5.0, cluster="crowd:1"))
        page = await select_held(connection, None, 10)
        assert [(held.message_id, held.question, held.answer, held.alike) for held in page] == [
            ("second", "text of follow-up", "text of second", 2),
            ("answer", "text of question", "text of answer", 1),
            ("again", "text of question", "text of again", 2),
        ]
        assert [held.message_id for held in await select_held(connection, None, 1, after="second")] == ["answer"]
        assert [held.message_id for held in await select_held(connection, None, 9, after="answer")] == ["again"]
        assert await select_held(connection, ACCEPTED, 10) == []
        with pytest.raises(LookupError, match="'nothing'"):
            await select_held(connection, None, 10, after="nothing")

    in_transaction(place, body)


def test_a_later_cycle_changes_the_reason_and_never_a_decision(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await begin(connection, review("answer"), review("second"))
        assert await decide_message(connection, "second", REJECTED, 7.0) == 1
        later = [review(id, 9.0, cycle_id=2, reason="a burst", cluster="burst:1") for id in ("answer", "second")]
        await hold(connection, later)
        [answer] = await select_held(connection, None, 10)
        assert (answer.cycle_id, answer.reason, answer.cluster, answer.held_at_s) == (2, "a burst", "burst:1", 9.0)
        [second] = await select_held(connection, REJECTED, 10)
        assert (second.cycle_id, second.reason, second.decided_at_s) == (1, "new here", 7.0)

    in_transaction(place, body)


def test_a_cluster_is_decided_at_once_and_anew(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await begin(connection, *(review(id, cluster="crowd:1") for id in ("answer", "again")), review("second"))
        assert await decide_cluster(connection, "crowd:1", REJECTED, 7.0) == 2
        assert await decide_message(connection, "again", ACCEPTED, 8.0) == 1
        asked = ["again", "answer", "second", "nothing"]
        assert await select_decisions(connection, asked) == {"answer": REJECTED, "again": ACCEPTED}
        for decide, name in ((decide_message, "nobody's"), (decide_cluster, "crowd:2")):
            with pytest.raises(LookupError, match=name):
                await decide(connection, name, ACCEPTED, 9.0)

    in_transaction(place, body)


def test_held_answers_are_looked_at_again_until_they_are_decided_and_accepted_ones_until_they_are_used(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await begin(connection, review("answer"), review("again", 4.0), review("second", 6.0))
        assert await select_pending_ids(connection, 10) == ["second", "answer", "again"]
        await decide_message(connection, "second", REJECTED, 7.0)
        await decide_message(connection, "again", ACCEPTED, 7.0)
        assert await select_pending_ids(connection, 10) == ["again", "answer"]
        assert await select_pending_ids(connection, 1) == ["again"]
        dataset = Dataset("d", 2, "", 1, 8.0, {})
        await insert_dataset(connection, dataset, [DatasetRow("d", 0, "again", "owner", "thumb", "train", 1.0)])
        assert await select_pending_ids(connection, 10) == ["again", "answer"]
        await update_cycle(connection, 2, state=CycleState.PROMOTED)
        assert await select_pending_ids(connection, 10) == ["answer"]
        await update_consent(connection, "owner", False)
        assert await select_pending_ids(connection, 10) == []

    in_transaction(place, body)


def test_what_no_longer_has_a_reason_is_forgotten_unless_it_is_decided(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await begin(connection, review("answer"), review("second"))
        await decide_message(connection, "second", REJECTED, 7.0)
        assert await let_pass(connection, ["answer", "second", "again"]) == 1
        assert await select_held(connection, None, 10) == []
        assert await select_decisions(connection, ["answer", "second"]) == {"second": REJECTED}

    in_transaction(place, body)


def test_reasons_are_counted_as_long_as_nothing_is_decided_and_a_decision_can_be_taken_back(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await begin(connection, review("answer", reason="a burst"), review("second"), review("again"))
        assert await count_reasons(connection) == [HeldCount("new here", 2, 1), HeldCount("a burst", 1, 1)]
        assert [held.message_id for held in await select_held(connection, None, 9, reason="a burst")] == ["answer"]
        assert await select_held(connection, None, 9, reason="burst") == []
        await decide_message(connection, "answer", REJECTED, 7.0)
        assert await count_reasons(connection) == [HeldCount("new here", 2, 1)]
        assert await decide_message(connection, "answer", None, 8.0) == 1
        [waits] = await select_held(connection, None, 9, reason="a burst")
        assert (waits.decision, waits.decided_at_s) == (None, None)
        assert await select_decisions(connection, ["answer"]) == {}

    in_transaction(place, body)
