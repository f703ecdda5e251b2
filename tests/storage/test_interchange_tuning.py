"""What goes out for OpenAI's fine-tuning is of its documented form to the letter, says nobody's name, and is what people meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from msgspec import Struct

from learner.corpora.shapes import read_record
from storage.conversations import insert_messages
from storage.database import Database
from storage.feedback import insert_feedback
from storage.interchange.opinion import Opinion, write_opinion
from storage.interchange.outgoing import ExportLayout, export
from storage.people import update_consent
from storage.records import DocumentKind, Role
from tests.databases import Place
from tests.storage.loop import furnish, message, with_database

LED = ["text of question", "text of answer", "text of follow-up"]


class Asked(Struct, frozen=True, forbid_unknown_fields=True, tag_field="role", tag="user"):
    content: str


class Ruled(Struct, frozen=True, forbid_unknown_fields=True, tag_field="role", tag="system"):
    content: str


class Answered(Struct, frozen=True, forbid_unknown_fields=True, tag_field="role", tag="assistant"):
    content: str
    weight: Literal[0, 1] = 1


class Output(Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["assistant"]
    content: str


class Chat(Struct, frozen=True, forbid_unknown_fields=True):
    messages: list[Asked | Ruled | Answered]


class Input(Struct, frozen=True, forbid_unknown_fields=True):
    messages: list[Asked | Ruled | Answered]


class Pair(Struct, frozen=True, forbid_unknown_fields=True):
    input: Input
    preferred_output: list[Output]
    non_preferred_output: list[Output]


async def say(db: Database, **said: Opinion) -> None:
    rows = [row for id, opinion in said.items() for row in write_opinion(message(id, None), opinion)]
    await db.write(lambda connection: insert_feedback(connection, rows))


async def lines(db: Database, layout: ExportLayout, kind: type[Any]) -> list[Any]:
    found = b"".join([page async for page in export(db, layout)])
    assert b"owner" not in found and b"conversation" not in found
    return [msgspec.json.decode(line, type=kind) for line in found.splitlines()]


def test_an_answer_that_was_liked_or_corrected_is_learnt_and_what_led_to_it_is_not(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        await say(db, answer=Opinion("down"), again=Opinion("up"), second=Opinion("down", correction="right"), cut=Opinion("up"))
        again, second = await lines(db, ExportLayout.OPENAI_CHATS, Chat)
        assert again.messages == [Asked("text of question"), Answered("text of again", 1)]
        assert [one.content for one in second.messages] == [*LED, "right"]
        assert [one.weight for one in second.messages if isinstance(one, Answered)] == [0, 1]

    with_database(place, body)


def test_pairs_have_one_answer_on_each_side(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        rules = [message("rules", None, Role.SYSTEM), message("q", "rules", Role.USER), message("a", "q")]
        await db.write(lambda connection: insert_messages(connection, rules))
        await say(db, second=Opinion(correction="right"), a=Opinion(correction="brief"))
        first, other = await lines(db, ExportLayout.OPENAI_PREFERENCE, Pair)
        assert [one.content for one in first.input.messages] == LED
        assert (first.preferred_output, first.non_preferred_output) == (
            [Output("assistant", "right")],
            [Output("assistant", "text of second")],
        )
        assert other.input.messages == [Ruled("text of rules"), Asked("text of q")]

    with_database(place, body)


@pytest.mark.parametrize(
    ("layout", "kinds"),
    [
        (ExportLayout.OPENAI_CHATS, {DocumentKind.CHAT, DocumentKind.DEMONSTRATION}),  # of one answer, and of its last one
        (ExportLayout.OPENAI_PREFERENCE, {DocumentKind.PREFERENCE}),
        (ExportLayout.PREFERENCE, {DocumentKind.PREFERENCE}),
        (ExportLayout.UNPAIRED, {DocumentKind.DEMONSTRATION}),
    ],
)
def test_what_goes_out_can_be_read_as_documents_that_teach_the_same(
    tmp_path: Path, layout: ExportLayout, kinds: set[DocumentKind]
) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        await say(db, second=Opinion("up"), answer=Opinion("down"), again=Opinion("up"))
        records = [msgspec.json.decode(line) async for page in export(db, layout) for line in page.splitlines()]
        read = [read_record(record, None) for record in records if record.get("label", True)]
        assert {found for found, _ in read} == kinds
        taught = [content[0] for _, content in read]
        answers = [one["chosen"] if isinstance(one, dict) else one[-1]["content"] for one in taught]
        assert answers == ["text of again"] + ["text of second"] * (DocumentKind.DEMONSTRATION in kinds)

    with_database(tmp_path / "db", body)


def test_who_does_not_consent_is_in_no_file(place: Place) -> None:
    async def body(db: Database) -> None:
        await db.write(furnish)
        await say(db, again=Opinion("up", correction="right"))
        await db.write(lambda connection: update_consent(connection, "owner", False))
        for layout in (ExportLayout.OPENAI_CHATS, ExportLayout.OPENAI_PREFERENCE):
            assert [page async for page in export(db, layout)] == []

    with_database(place, body)
