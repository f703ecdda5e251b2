"""What is exported as `messages` comes in again as the same conversations, anywhere, as often as one likes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.conversations import insert_conversation, insert_messages, select_message, select_thread
from storage.database import Database
from storage.feedback import insert_feedback, select_evidence
from storage.interchange.incoming import Imported, ImportLayout, import_file
from storage.interchange.keep import Added
from storage.interchange.opinion import Opinion, write_opinion
from storage.interchange.outgoing import ExportLayout, export
from storage.people import insert_person, select_person
from storage.records import Conversation, Message, MessageStatus, Person, Role
from storage.tables import metadata
from tests.databases import Place
from tests.storage.loop import furnish, message, with_database

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
OPINIONS = st.builds(
    Opinion,
    thumb=st.sampled_from(["", "up", "down"]),
    reasons=st.sampled_from(["", "wrong", "wrong,too_long"]),
    comment=WORDS,
    correction=WORDS,
    preferred_over=st.sampled_from(["", "m1", "m3"]),
    at_s=st.floats(1, 2e9),
)
NODES = st.lists(st.tuples(st.integers(0, 20), st.sampled_from(list(MessageStatus)), WORDS, OPINIONS), max_size=9)


async def told(db: Database) -> bytes:
    return b"".join([page async for page in export(db, ExportLayout.MESSAGES, everyone=True)])


async def bring(db: Database, tmp_path: Path, lines: bytes) -> Imported:
    file = tmp_path / "export.jsonl"
    file.write_bytes(lines)
    return await import_file(db, file, ImportLayout.MESSAGES)


async def empty(connection: Any) -> None:
    for table in reversed(metadata.sorted_tables):
        await connection.execute(table.delete())


def grown(nodes: list[tuple[int, MessageStatus, str, Opinion]]) -> list[tuple[Message, Opinion]]:
    """A tree of which each node hangs on one before it: questions below answers, answers below questions."""
    tree = [(message("m0", None, Role.USER), Opinion())]
    for number, (place, status, text, opinion) in enumerate(nodes, 1):
        above, _ = tree[place % len(tree)]
        role = Role.ASSISTANT if above.role is Role.USER else Role.USER
        more = {"status": status, "content": text} if role is Role.ASSISTANT else {"content": text}
        tree.append((message(f"m{number}", above.id, role, "", **more, created_at_s=number / 3), opinion))
    return tree


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nodes=NODES, title=WORDS, learn=st.booleans())
def test_export_import_export_gives_the_same_lines(
    place: Place, tmp_path: Path, nodes: list[tuple[int, MessageStatus, str, Opinion]], title: str, learn: bool
) -> None:
    tree = grown(nodes)

    async def furnish_tree(connection: Any) -> None:
        await empty(connection)
        await insert_person(connection, Person("owner", "Olga", 1.0, learn))
        await insert_conversation(connection, Conversation("conversation", "owner", 1.5, title, 9.25))
        await insert_messages(connection, [node for node, _ in tree])
        await insert_feedback(connection, [row for node, opinion in tree for row in write_opinion(node, opinion)])

    async def body(db: Database) -> None:
        await db.write(furnish_tree)
        before = await told(db)
        assert (await bring(db, tmp_path, before)).added == Added()  # all of it is there
        await db.write(empty)
        imported = await bring(db, tmp_path, before)
        assert (imported.skipped, imported.records) == (0, before.count(b"\n"))
        assert await told(db) == before
        assert (await bring(db, tmp_path, before)).added == Added()

    with_database(place, body)


def test_what_comes_back_is_the_tree_but_no_evidence_and_no_name(place: Place, tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        liked = write_opinion(message("second", "follow-up"), Opinion(thumb="up", at_s=7.0))
        await db.write(lambda connection: insert_feedback(connection, liked))
        lines = await told(db)
        await db.write(empty)
        imported = await bring(db, tmp_path, lines)
        assert imported.added == Added(people=1, conversations=1, messages=5, feedback=1)
        thread = await db.read(lambda connection: select_thread(connection, "second"))
        assert [(one.id, one.status) for one in thread] == [
            ("question", MessageStatus.COMPLETE),
            ("answer", MessageStatus.CLIENT),
            ("follow-up", MessageStatus.COMPLETE),
            ("second", MessageStatus.CLIENT),
        ]
        again = await db.read(lambda connection: select_message(connection, "again"))
        assert again is not None and again.parent_id == "question"
        assert await db.read(lambda connection: select_evidence(connection, 0, 10)) == []
        owner = await db.read(lambda connection: select_person(connection, "owner"))
        assert owner is not None and owner.name == "owner"

    with_database(place, body)


def test_an_older_file_does_not_undo_what_was_said_since(place: Place, tmp_path: Path) -> None:
    async def vote(db: Database, thumb: Any, at_s: float) -> None:
        [row] = write_opinion(message("answer", "question"), Opinion(thumb=thumb, at_s=at_s))
        given = msgspec.structs.replace(row, id=f"given-at-{at_s}")  # ids of votes given here follow from nothing
        await db.write(lambda connection: insert_feedback(connection, [given]))

    async def body(db: Database) -> None:
        await db.write(furnish)
        await vote(db, "up", 5.0)
        old = await told(db)
        await vote(db, "down", 6.0)
        new = await told(db)
        assert (await bring(db, tmp_path, old)).added == Added()
        assert await told(db) == new

    with_database(place, body)


def test_lines_that_belong_elsewhere_are_named_and_change_nothing(place: Place, tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        await db.write(lambda connection: insert_conversation(connection, Conversation("another", "other", 1.0)))
        before = await told(db)
        line = before.splitlines()[0]
        stolen = line.replace(b'"person_id":"owner"', b'"person_id":"other"')
        moved = line.replace(b'"conversation_id":"conversation"', b'"conversation_id":"elsewhere"')
        imported = await bring(db, tmp_path, stolen + b"\n\n" + moved + b"\n")
        assert (imported.records, imported.added, imported.skipped) == (2, Added(), 2)
        assert [one.record for one in imported.first_skipped] == [1, 3]
        assert "conversation 'conversation' is another person's" in imported.first_skipped[0].reason
        assert "is in another conversation" in imported.first_skipped[1].reason
        assert await told(db) == before

    with_database(place, body)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda line: b"{" + line, "malformed"),
        (lambda line: b"\xff" + line, "malformed"),
        (lambda line: line.replace(b'"role":"user"', b'"role":"tool"', 1), "'tool' - at `$.messages[0].role`"),
        (lambda line: line.replace(b"text of question", b"nul \\u0000", 1), "$.messages[0].content"),
        (lambda line: line.replace(b'{"role":"user","content":"text of question"},', b"", 1), "1 messages and 2 metadata.messages"),
        (lambda line: line.replace(b'"thumb":""', b'"thumb":"sideways"', 1), "'sideways'"),
        (lambda line: line.replace(b'"id":"question"', b'"id":""', 1), "$.metadata.messages[0].id"),
        (lambda line: b'{"messages":[{"role":"user","content":"hi"}]}', "missing required field `metadata`"),
    ],
)
def test_a_bad_line_is_named_and_the_others_come_in(tmp_path: Path, change: Any, expected: str) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        first, second = (await told(db)).splitlines()
        await db.write(empty)
        imported = await bring(db, tmp_path, change(first) + b"\n" + second)
        assert (imported.records, imported.skipped, imported.added.messages) == (2, 1, 4)
        [skipped] = imported.first_skipped
        assert skipped.record == 1 and expected in skipped.reason

    with_database(tmp_path / "db", body)


def test_a_file_of_nothing_but_bad_lines_names_the_first_hundred(tmp_path: Path) -> None:
    async def body(db: Database) -> None:
        imported = await bring(db, tmp_path, b"no\n" * 250)
        assert (imported.records, imported.skipped, len(imported.first_skipped)) == (250, 250, 100)
        assert msgspec.json.encode(imported)

    with_database(tmp_path / "db", body)
