"""Conversations go out as Open WebUI's own export, and come in again with their trees and thumbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from storage.conversations import insert_conversation, insert_messages
from storage.database import Database
from storage.feedback import insert_feedback
from storage.interchange.incoming import ImportLayout, import_file
from storage.interchange.keep import Added
from storage.interchange.openwebui_export import KEYS
from storage.interchange.opinion import Opinion, write_opinion
from storage.interchange.outgoing import ExportLayout, export
from storage.interchange.talk import Talk, select_talks
from storage.interchange.tree import Tree
from storage.people import update_consent
from storage.records import Conversation, Role
from tests.databases import Place
from tests.storage.loop import furnish, message, with_database
from tests.storage.openwebui import chat

CHATS = ExportLayout.OPENWEBUI_CHATS
SAID = Opinion("down", "too_short,wrong", "No.", at_s=7.0)


async def written(db: Database, page: int = 200) -> bytes:
    return b"".join([part async for part in export(db, CHATS, page=page)])


async def talks(db: Database) -> list[Talk]:
    return await db.read(lambda connection: select_talks(connection, "", 100, everyone=True))


async def bring(db: Database, tmp_path: Path, content: bytes) -> Added:
    file = tmp_path / "export.json"
    file.write_bytes(content)
    imported = await import_file(db, file, ImportLayout.OPENWEBUI_CHATS)
    assert imported.skipped == 0, imported
    return imported.added


async def furnish_with_rules(db: Database) -> None:
    """Beside the usual conversation, a second one with a system prompt; something is said of both."""
    await db.write(furnish)
    place = {"conversation_id": "ruled"}
    await db.write(lambda connection: insert_conversation(connection, Conversation("ruled", "owner", 5.5, "Rules", 6.5)))
    said = [message("rules", None, Role.SYSTEM, **place), message("q", "rules", Role.USER, **place)]
    said.append(message("a", "q", **place, adapter="r1-00000001", engine_model="r1-00000001"))
    rows = [*write_opinion(message("a", "q"), SAID), *write_opinion(message("again", "question"), Opinion("up", at_s=8.0))]
    await db.write(lambda connection: insert_messages(connection, said))
    await db.write(lambda connection: insert_feedback(connection, rows))


def test_a_chat_has_its_tree_its_shown_branch_its_rules_and_its_ratings(place: Place) -> None:
    async def body(db: Database) -> None:
        await furnish_with_rules(db)
        first, ruled = msgspec.json.decode(await written(db))
        nodes = first["chat"]["history"]["messages"]
        assert {id: (node["parentId"], node["childrenIds"]) for id, node in nodes.items()} == {
            "question": (None, ["again", "answer"]),
            "again": ("question", []),
            "answer": ("question", ["follow-up"]),
            "follow-up": ("answer", ["second"]),
            "second": ("follow-up", []),
        }
        assert first["chat"]["history"]["currentId"] == "second" and nodes["again"]["annotation"]["rating"] == 1
        assert [one["id"] for one in first["chat"]["messages"]] == ["question", "answer", "follow-up", "second"]
        assert ruled["chat"]["params"] == {"system": "text of rules"} and [*ruled["chat"]["history"]["messages"]] == ["q", "a"]
        answer = ruled["chat"]["history"]["messages"]["a"]
        assert (answer["model"], answer["done"], answer["timestamp"]) == ("r1-00000001", True, 2)
        assert answer["annotation"] == {"rating": -1, "reason": "not_factually_correct", "comment": "No.", "tags": []}
        assert (ruled["title"], ruled["created_at"], ruled["updated_at"], ruled["chat"]["models"]) == (
            "Rules",
            5,
            6,
            ["r1-00000001"],
        )

    with_database(place, body)


def test_what_goes_out_comes_in_with_the_same_words_and_opinions_once(place: Place, tmp_path: Path) -> None:
    def told(talk: Talk) -> list[Any]:
        tree, texts = Tree(talk), {one.id: one.content for one in talk.messages}
        return sorted(
            (one.content, one.role, texts.get(one.parent_id or ""), tree.opinion(one).thumb, tree.opinion(one).comment)
            for one in talk.messages
            if one.id != "cut"
        )

    async def body(db: Database) -> None:
        await furnish_with_rules(db)
        before, content = await talks(db), await written(db)
        added = await bring(db, tmp_path, content)
        assert (added.people, added.conversations, added.messages) == (1, 2, 8)
        came = [talk for talk in await talks(db) if talk.person.name == "openwebui:owner"]
        assert sorted(map(told, came)) == sorted(map(told, before))
        assert {talk.conversation.title for talk in came} == {talk.conversation.title for talk in before}
        [answer] = [(tree, one) for tree in map(Tree, came) for one in tree.answers() if one.content == "text of a"]
        assert answer[0].opinion(answer[1]).reasons == "wrong" and answer[1].metadata["model"] == "r1-00000001"
        assert await bring(db, tmp_path, content) == Added()

    with_database(place, body)


def test_a_chat_of_open_webui_goes_out_as_it_came(tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        came = chat()
        await bring(db, tmp_path, msgspec.json.encode([came]))
        [gone] = msgspec.json.decode(await written(db))
        (was, now) = (one["chat"]["history"]["messages"] for one in (came, gone))
        texts = [(one["role"], one["content"], one.get("model"), one["timestamp"]) for one in now.values()]
        assert texts == [
            (
                one["role"],
                "And of Italy?" if isinstance(one["content"], list) else one["content"],
                one.get("model"),
                one["timestamp"],
            )
            for one in was.values()
        ]
        assert (gone["title"], gone["created_at"], gone["updated_at"]) == (came["title"], came["created_at"], came["updated_at"])
        assert gone["chat"]["params"] == came["chat"]["params"]
        assert [one["annotation"]["rating"] for one in now.values() if "annotation" in one] == [1]

    with_database(tmp_path / "db", body)


@pytest.mark.parametrize("page", [1, 2, 200])
def test_pages_join_to_one_array_with_a_record_to_a_line(tmp_path: Path, page: int) -> None:
    async def body(db: Database) -> None:
        assert await written(db, page) == b"[]"
        await furnish_with_rules(db)
        await db.write(lambda connection: insert_conversation(connection, Conversation("empty", "owner", 1.0)))
        content = await written(db, page)
        assert content == await written(db) and len(msgspec.json.decode(content)) == content.count(b"\n") == 2
        await db.write(lambda connection: update_consent(connection, "owner", False))
        assert await written(db, page) == b"[]"

    with_database(tmp_path / "db", body)


def test_every_reason_that_open_webui_knows_has_its_first_word_for_it() -> None:
    assert KEYS["incomplete"] == "didnt_fully_follow_instructions" and len(KEYS) == 5
