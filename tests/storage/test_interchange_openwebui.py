"""Open WebUI's exports come in whole, once, as ordinary rows that no cycle takes for served words; what cannot is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from storage.conversations import delete_conversation
from storage.database import Database
from storage.erase import erase_person
from storage.feedback import select_evidence
from storage.interchange.incoming import FileError, Imported, ImportLayout, import_file
from storage.interchange.keep import Added
from storage.interchange.talk import Talk, select_talks
from storage.records import FeedbackKind, MessageStatus, Role
from storage.tables import api_keys
from tests.databases import Place
from tests.storage.loop import with_database
from tests.storage.openwebui import CREATED_S, answered, chat, rated, said

CHATS, FEEDBACK = ImportLayout.OPENWEBUI_CHATS, ImportLayout.OPENWEBUI_FEEDBACK


def write(tmp_path: Path, document: object) -> Path:
    file = tmp_path / "export.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


async def talks(db: Database) -> list[Talk]:
    return await db.read(lambda connection: select_talks(connection, "", 100, everyone=True))


def reasons(imported: Imported) -> dict[int, str]:
    return {skipped.record: skipped.reason for skipped in imported.first_skipped}


def with_nodes(*nodes: dict[str, Any]) -> dict[str, Any]:
    odd = chat("odd")
    odd["chat"]["history"]["messages"] = {node["id"]: node for node in nodes}
    return odd


def test_a_chat_comes_in_with_its_tree_times_and_thumbs(place: Place, tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        imported = await import_file(db, write(tmp_path, [chat()]), CHATS)
        assert imported == Imported(1, Added(people=1, conversations=1, messages=6, feedback=1))
        [talk] = await talks(db)
        assert talk.person.name == "openwebui:u1"
        assert (talk.conversation.title, talk.conversation.created_at_s) == ("Capitals", CREATED_S)
        assert talk.conversation.updated_at_s == CREATED_S + 60
        texts = {message.id: message.content for message in talk.messages}
        tree = [(m.role, m.content, texts.get(m.parent_id or ""), m.status) for m in talk.messages]
        client, complete = MessageStatus.CLIENT, MessageStatus.COMPLETE
        assert tree == [
            (Role.SYSTEM, "Be brief.", None, complete),
            (Role.USER, "Capital of France?", "Be brief.", complete),
            (Role.ASSISTANT, "Lyon.", "Capital of France?", client),
            (Role.ASSISTANT, "Paris.", "Capital of France?", client),
            (Role.USER, "And of Italy?", "Paris.", complete),
            (Role.ASSISTANT, "Rome.", "And of Italy?", client),
        ]
        paris = talk.messages[3]
        assert paris.metadata == {"model": "llama3.1:8b", "tags": "Geography,Europe"}
        assert (paris.created_at_s, paris.adapter, paris.engine_model) == (CREATED_S + 10, None, None)
        assert [(row.message_id, row.kind, row.value) for row in talk.feedback] == [(paris.id, FeedbackKind.THUMB, "up")]

    with_database(place, body)


def test_a_rating_comes_in_with_its_snapshot_in_our_words(place: Place, tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        imported = await import_file(db, write(tmp_path, [rated()]), FEEDBACK)
        assert imported.added == Added(people=1, conversations=1, messages=6, feedback=4)
        [talk] = await talks(db)
        lyon = next(message for message in talk.messages if message.content == "Lyon.")
        rows = {row.kind: row.value for row in talk.feedback if row.message_id == lyon.id}
        assert rows == {FeedbackKind.THUMB: "down", FeedbackKind.REASON: ["wrong"], FeedbackKind.COMMENT: "No, Paris."}
        assert {row.created_at_s for row in talk.feedback if row.message_id == lyon.id} == {CREATED_S + 120}

    with_database(place, body)


def test_the_same_again_adds_nothing_and_a_grown_chat_only_what_is_new(place: Place, tmp_path: Path) -> None:
    grown = chat(updated_at=CREATED_S + 900)
    grown["chat"]["history"]["messages"]["a4"] = answered("a4", "q2", "Roma.")

    async def body(db: Database) -> None:
        await import_file(db, write(tmp_path, [chat(), chat("c2"), chat("c3", user="u2")]), CHATS)
        before = await talks(db)
        again = await import_file(db, write(tmp_path, [chat(), chat("c2"), chat("c3", user="u2")]), CHATS)
        assert again == Imported(3)
        assert await talks(db) == before
        assert (await import_file(db, write(tmp_path, [rated()]), FEEDBACK)).added == Added(feedback=3)
        assert (await import_file(db, write(tmp_path, [rated(), rated()]), FEEDBACK)).added == Added()
        assert (await import_file(db, write(tmp_path, [grown]), CHATS)).added == Added(messages=1)
        assert max(talk.conversation.updated_at_s for talk in await talks(db)) == CREATED_S + 900

    with_database(place, body)


def test_the_later_rating_counts_whichever_file_comes_first(place: Place, tmp_path: Path) -> None:
    changed = rated("a2")  # the snapshot still has the thumb up of before

    async def body(db: Database) -> None:
        await import_file(db, write(tmp_path, [changed]), FEEDBACK)
        assert (await import_file(db, write(tmp_path, [chat()]), CHATS)).added == Added()
        [talk] = await talks(db)
        assert [row.value for row in talk.feedback if row.kind is FeedbackKind.THUMB] == ["down"]

    with_database(place, body)


def test_imported_answers_are_no_evidence_and_nobody_gets_a_key(place: Place, tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        await import_file(db, write(tmp_path, [rated()]), FEEDBACK)
        assert await db.read(lambda connection: select_evidence(connection, 0, 10)) == []
        assert (await db.read(lambda connection: connection.execute(select(api_keys)))).all() == []

    with_database(place, body)


def test_what_was_imported_can_be_deleted_and_who_was_forgotten_stays_so(place: Place, tmp_path: Path) -> None:
    file = write(tmp_path, [chat(), chat("c2", user="u2")])

    async def body(db: Database) -> None:
        await import_file(db, file, CHATS)
        first, second = await talks(db)
        await db.write(lambda connection: delete_conversation(connection, first.conversation.id, first.person.id))
        await db.write(lambda connection: erase_person(connection, second.person.id, 9.0))
        assert await talks(db) == []
        again = await import_file(db, file, CHATS)
        assert (again.added.conversations, again.skipped) == (1, 1)
        [reason] = reasons(again).values()
        assert second.person.id in reason and "forgotten" in reason

    with_database(place, body)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"title": "no owner"}, "missing required field `id`"),
        (chat(""), "length >= 1 - at `$.id`"),
        (chat(chat={"history": {}}), "`messages` - at `$.chat.history`"),
        (with_nodes(said("q", "gone", "user", "hm")), "'gone', expected the id of a message"),
        (with_nodes(said("q", "a", "user", "hm"), answered("a", "q", "ho")), "'a' is its own ancestor"),
        (with_nodes(said("q", None, "tool", "hm")), "Invalid enum value 'tool'"),
        (with_nodes(said("q", None, "user", "nul \0")), "content has a NUL"),
        (with_nodes(answered("a", "", "ho", annotation={"rating": 5})), "rating"),
        (7, "Expected `object`, got `int`"),
    ],
)
def test_a_bad_chat_is_named_and_the_others_come_in(tmp_path: Path, record: object, expected: str) -> None:
    async def body(db: Database) -> None:
        imported = await import_file(db, write(tmp_path, [chat("c1"), record, chat("c3")]), CHATS)
        assert (imported.records, imported.added.conversations, imported.skipped) == (3, 2, 1)
        assert expected in reasons(imported)[2]

    with_database(tmp_path / "db", body)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (rated(user="u9"), "'u9' rated a chat of 'u1', expected its owner"),
        (rated("a9"), "'a9', expected the id of an answer"),
        (rated("q1"), "'q1', expected the id of an answer"),
        ({**rated(), "snapshot": None}, "$.snapshot"),
        (rated(rating=0), "$.data.rating"),
    ],
)
def test_a_bad_rating_is_named(tmp_path: Path, record: object, expected: str) -> None:
    async def body(db: Database) -> None:
        imported = await import_file(db, write(tmp_path, [record]), FEEDBACK)
        assert (imported.added, imported.skipped) == (Added(), 1)
        assert expected in reasons(imported)[1]

    with_database(tmp_path / "db", body)


@pytest.mark.parametrize("text", ['[{"id": "c1", ', "", "nothing", "7"])
def test_a_file_that_is_no_json_array_gets_one_clear_line(tmp_path: Path, text: str) -> None:
    async def body(db: Database) -> None:
        with pytest.raises(FileError, match="expected an array of records"):
            await import_file(db, write(tmp_path, text), CHATS)

    with_database(tmp_path / "db", body)


def test_a_single_chat_needs_no_array_and_older_words_are_understood(tmp_path: Path) -> None:
    old = chat(created_at=CREATED_S * 1000)
    old["chat"]["history"]["messages"]["a1"]["annotation"] = {"rating": "-1", "reason": "Refused when it shouldn't have"}

    async def body(db: Database) -> None:
        await import_file(db, write(tmp_path, old), CHATS)
        [talk] = await talks(db)
        assert talk.conversation.created_at_s == CREATED_S
        assert ["refused_needlessly"] in [row.value for row in talk.feedback]

    with_database(tmp_path / "db", body)
