"""Exports say what people meant, tell where each line is from, and are what TRL takes them for."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from storage.conversations import insert_conversation, insert_messages
from storage.database import Database
from storage.feedback import insert_feedback
from storage.interchange.outgoing import ARRAYS, ExportLayout, export
from storage.people import insert_person, update_consent
from storage.records import Conversation, Feedback, FeedbackKind, MessageStatus, Role
from tests.databases import Place
from tests.storage.loop import furnish, message, person, with_database

THUMB, CORRECTION, PREFERENCE = FeedbackKind.THUMB, FeedbackKind.CORRECTION, FeedbackKind.PREFERENCE
SMALL_CHUNK = 4096  # bytes of which `datasets` guesses the columns at a time


async def say(db: Database, *said: tuple[str, FeedbackKind, object], by: str = "owner") -> None:
    rows = [Feedback(f"fb-{id}-{kind}-{value}-{by}", id, by, kind, value, 5.0, "s") for id, kind, value in said]
    await db.write(lambda connection: insert_feedback(connection, rows))


async def lines(db: Database, layout: ExportLayout, **options: Any) -> list[Any]:
    pages = [page async for page in export(db, layout, **options)]
    return [msgspec.json.decode(line) for page in pages for line in page.splitlines()]


def words(said: list[dict[str, str]]) -> list[str]:
    return [one["content"] for one in said]


def test_pairs_come_from_corrections_preferences_and_opposite_thumbs(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        await say(db, ("answer", THUMB, "down"), ("again", THUMB, "up"), ("second", CORRECTION, "right"))
        await say(db, ("cut", THUMB, "down"), ("second", PREFERENCE, "cut"), ("again", CORRECTION, "text of again"))
        found = await lines(db, ExportLayout.PREFERENCE)
        pairs = [(one["metadata"]["kind"], words(one["prompt"]), words(one["chosen"]), words(one["rejected"])) for one in found]
        led = ["text of question", "text of answer", "text of follow-up"]
        assert pairs == [
            ("correction", led, ["right"], ["text of second"]),  # an answer that was cut off is no half of a pair
            ("thumbs", ["text of question"], ["text of again"], ["text of answer"]),
        ]
        source = found[1]["metadata"]
        assert (source["chosen_id"], source["rejected_id"], source["person_id"]) == ("again", "answer", "owner")
        assert (source["conversation_id"], source["served"]) == ("conversation", True)

    with_database(place, body)


def test_what_is_preferred_goes_before_what_thumbs_imply(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        await say(db, ("answer", THUMB, "down"), ("again", THUMB, "up"), ("answer", PREFERENCE, "again"))
        [pair] = await lines(db, ExportLayout.PREFERENCE)
        assert (words(pair["chosen"]), words(pair["rejected"])) == (["text of answer"], ["text of again"])
        await say(db, ("second", PREFERENCE, "again"))  # an answer to something else
        assert len(await lines(db, ExportLayout.PREFERENCE)) == 1

    with_database(place, body)


def test_thumbs_count_as_the_owner_gave_them_last(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        await say(db, ("answer", THUMB, "up"), ("again", THUMB, "up"), ("second", THUMB, "up"), ("cut", THUMB, "up"))
        await say(db, ("answer", THUMB, "down"), ("second", THUMB, None))
        await say(db, ("second", THUMB, "down"), by="other")
        found = await lines(db, ExportLayout.UNPAIRED)
        assert [(words(one["completion"]), one["label"]) for one in found] == [
            (["text of answer"], False),
            (["text of again"], True),
        ]

    with_database(place, body)


def test_conversations_are_told_branch_by_branch_to_their_last_answer(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        asked = message("unanswered", "second", Role.USER)
        await db.write(lambda connection: insert_messages(connection, [asked]))
        await say(db, ("second", THUMB, "up"))
        found = await lines(db, ExportLayout.MESSAGES)
        assert [[one["id"] for one in line["metadata"]["messages"]] for line in found] == [
            ["question", "again"],
            ["question", "answer", "follow-up", "second"],
        ]
        assert [one["feedback"]["thumb"] for one in found[1]["metadata"]["messages"]] == ["", "", "", "up"]
        assert [one["role"] for one in found[1]["messages"]] == ["user", "assistant", "user", "assistant"]

    with_database(place, body)


def test_below_a_deleted_answer_nothing_is_told(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        gone = [
            message("gone", "question", status=MessageStatus.DELETED),
            message("then", "gone", Role.USER),
            message("lost", "then"),
            message("greeting", None),
            message("rules", None, Role.SYSTEM),
            message("unasked", "rules"),
        ]
        await db.write(lambda connection: insert_messages(connection, gone))
        await say(db, ("lost", THUMB, "up"), ("greeting", THUMB, "up"), ("unasked", THUMB, "up"), ("second", THUMB, "up"))
        assert [one["metadata"]["message_id"] for one in await lines(db, ExportLayout.UNPAIRED)] == ["second"]
        told = [one["id"] for line in await lines(db, ExportLayout.MESSAGES) for one in line["metadata"]["messages"]]
        assert "again" in told and not {"gone", "then", "lost", "greeting", "unasked"} & set(told)

    with_database(place, body)


def test_only_people_who_consent_are_told_of_unless_all_are_asked_for(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        await say(db, ("answer", THUMB, "up"))
        await db.write(lambda connection: update_consent(connection, "owner", False))
        for layout in ExportLayout:
            assert b"".join([page async for page in export(db, layout)]) == (b"[]" if layout in ARRAYS else b"")
        assert len(await lines(db, ExportLayout.UNPAIRED, everyone=True)) == 1

    with_database(place, body)


async def fill(db: Database, conversations: int) -> None:
    """Conversations of which only the last ones have feedback other than thumbs, and a title."""
    await db.write(lambda connection: insert_person(connection, person("owner")))

    async def add(connection: Any) -> None:
        for number in range(conversations):
            late, id = number > conversations * 3 // 4, f"c{number:03}"
            place = {"conversation_id": id}
            await insert_conversation(connection, Conversation(id, "owner", 1.0, "Title" if late else ""))
            answers = [message(f"{id}-{name}", f"{id}-q", **place, adapter="r1-ab" if late else None) for name in "ab"]
            await insert_messages(connection, [message(f"{id}-q", None, Role.USER, **place), *answers])

    await db.write(add)
    ids = [f"c{number:03}" for number in range(conversations)]
    await say(db, *((f"{id}-a", THUMB, "up") for id in ids), *((f"{id}-b", THUMB, "down") for id in ids))
    late = ids[conversations * 3 // 4 + 1 :]
    await say(db, *((f"{id}-b", CORRECTION, "right") for id in late), *((f"{id}-b", FeedbackKind.REASON, ["wrong"]) for id in late))


def test_pages_join_without_a_gap_and_hold_no_more_than_asked(place: Place) -> None:
    async def body(db: Database) -> None:
        await fill(db, 12)
        whole = await lines(db, ExportLayout.UNPAIRED)
        assert Counter(one["metadata"]["conversation_id"] for one in whole) == Counter({f"c{n:03}": 2 for n in range(12)})
        pages = [page async for page in export(db, ExportLayout.UNPAIRED, page=5)]
        assert [page.count(b"\n") for page in pages] == [10, 10, 4]
        assert [msgspec.json.decode(line) for line in b"".join(pages).splitlines()] == whole

    with_database(place, body)


class Template:
    """A chat template that writes each message as <role>words, for TRL's own functions."""

    def apply_chat_template(self, messages: list[dict[str, str]], add_generation_prompt: bool = False, **_: object) -> str:
        written = "".join(f"<{one['role']}>{one['content']}" for one in messages)
        return written + ("<assistant>" if add_generation_prompt else "")


@pytest.mark.parametrize(
    ("layout", "columns", "written"),
    [
        (ExportLayout.PREFERENCE, {"prompt", "chosen", "rejected"}, {"prompt", "chosen", "rejected"}),
        (ExportLayout.UNPAIRED, {"prompt", "completion", "label"}, {"prompt", "completion", "label"}),
        (ExportLayout.MESSAGES, {"messages"}, {"text"}),
    ],
)
def test_trl_reads_a_file_as_what_it_is(tmp_path: Path, layout: ExportLayout, columns: set[str], written: set[str]) -> None:
    async def body(db: Database) -> None:
        await fill(db, 40)
        (tmp_path / "export.jsonl").write_bytes(b"".join([page async for page in export(db, layout)]))

    with_database(tmp_path / "db", body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import load_dataset
        from trl.data_utils import apply_chat_template, is_conversational, maybe_unpair_preference_dataset

        options = {"split": "train", "cache_dir": str(tmp_path / "cache"), "chunksize": SMALL_CHUNK}
        rows = load_dataset("json", data_files=str(tmp_path / "export.jsonl"), **options)
        unpaired = maybe_unpair_preference_dataset(rows)
    assert set(rows.column_names) == columns | {"metadata"}
    expected = [json.loads(line) for line in (tmp_path / "export.jsonl").read_text().splitlines()]
    assert rows.to_list() == expected  # though what the first lines lack only comes with the last
    assert all(is_conversational(row) for row in rows)
    assert {key for row in rows for key in apply_chat_template(row, Template())} == written
    assert len(unpaired) == len(rows) * (2 if layout is ExportLayout.PREFERENCE else 1)
