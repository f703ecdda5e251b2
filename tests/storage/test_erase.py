"""A person who is forgotten leaves nothing behind, takes nothing of anybody else's along, and gets a receipt."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import cast, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from storage.adapters import insert_adapter, select_adapter, select_clean_ancestor, select_tainted, update_adapter_state
from storage.audit import insert_audit, select_audit
from storage.backup import KNOWN
from storage.conversations import insert_conversation, insert_messages, select_messages
from storage.cycles import finish_stage, insert_cycle, select_stages, start_stage
from storage.database import Database
from storage.datasets import insert_dataset, select_overfull, select_rows, select_willing
from storage.documents import insert_documents
from storage.erase import close_erasures, erase_person, finish_erasure, select_erasures, select_unfinished, was_erased_since
from storage.feedback import insert_feedback, select_current
from storage.keys import insert_key
from storage.people import insert_person, select_person, update_consent
from storage.records import (
    AdapterState,
    ApiKey,
    Conversation,
    Dataset,
    DatasetRow,
    Document,
    DocumentKind,
    Failure,
    Feedback,
    FeedbackKind,
    Message,
    MessageStatus,
    Person,
    Review,
    Role,
    Session,
    StageName,
    new_id,
)
from storage.remains import search_files, search_tables, select_marks
from storage.rows import insert
from storage.sessions import insert_session
from storage.tables import failures, metadata, reviews
from tests.databases import Place
from tests.storage.loop import adapter, in_transaction, with_database


class Somebody:
    """A person with a word of their own in every text that is kept about them."""

    def __init__(self, name: str) -> None:
        self.id, self.conversation = new_id("person"), new_id("conv")
        self.question, self.answer, self.feedback = new_id("msg"), new_id("chatcmpl"), new_id("fb")
        self.word = f"{name}-{new_id('secret')}"

    @property
    def traces(self) -> list[str]:
        return [self.word, self.id, self.conversation, self.question, self.answer, self.feedback]

    async def settle(self, connection: AsyncConnection) -> None:
        await insert_person(connection, Person(self.id, self.word, 1.0))
        await insert_key(connection, ApiKey(f"key of {self.word}", self.id, 1.0, self.word))
        await insert_session(connection, Session(f"session of {self.word}", self.word, self.id, 1.0, 2.0))
        await insert_conversation(connection, Conversation(self.conversation, self.id, 1.0, self.word))
        asked = Message(self.question, self.conversation, self.id, None, Role.USER, self.word, MessageStatus.COMPLETE, 1.0)
        said = Message(
            self.answer, self.conversation, self.id, self.question, Role.ASSISTANT, self.word, MessageStatus.COMPLETE, 1.0,
            metadata={self.word: self.word},
        )  # fmt: skip
        await insert_messages(connection, [asked, said])
        await insert_feedback(connection, [self.says(FeedbackKind.COMMENT, self.word, self.answer, self.feedback)])
        await insert_feedback(connection, [self.says(FeedbackKind.THUMB, "up", self.answer)])
        document = Document(
            new_id("doc"), DocumentKind.DEMONSTRATION, self.word, self.word, self.word, self.word, self.id, [self.word], 1.0
        )
        await insert_documents(connection, [document])

    def says(self, kind: FeedbackKind, value: object, message_id: str, id: str | None = None) -> Feedback:
        return Feedback(id or new_id("fb"), message_id, self.id, kind, value, 1.0, f"submission of {self.word}")

    def row(self, dataset_id: str, number: int, split: str) -> DatasetRow:
        return DatasetRow(dataset_id, number, self.answer, self.id, "thumb", split, 1.0)


async def learn(
    connection: AsyncConnection, name: str, parent: str, rows: Iterable[DatasetRow], outputs: dict[str, object]
) -> None:
    """A cycle with a dataset of these rows, stages that put these things out, and an adapter made of it."""
    rows = list(rows)
    cycle = await insert_cycle(connection, "test", "mixed", 1.0)
    kept = [row for row in rows if row.split != "dropped"]
    await insert_dataset(connection, Dataset(rows[0].dataset_id, cycle.id, "", len(kept), 1.0, {}), rows)
    for stage, output in outputs.items():
        await start_stage(connection, cycle.id, StageName(stage), 1.0)
        await finish_stage(connection, cycle.id, StageName(stage), 2.0, {"kept": 1, **output})  # type: ignore[dict-item]
    await insert_adapter(connection, adapter(name, parent=parent, cycle_id=cycle.id, dataset_id=rows[0].dataset_id))


async def texts(connection: AsyncConnection) -> str:
    """Everything the database holds, as text."""
    found = []
    for table in metadata.sorted_tables:
        for row in await connection.execute(select(*(cast(column, Text) for column in table.columns))):
            found += [str(value) for value in row]
    return "\n".join(found)


def test_nothing_is_left_of_a_person_and_nothing_of_others_goes(place: Place) -> None:
    ann, bob = Somebody("ann"), Somebody("bob")

    async def body(connection: AsyncConnection) -> None:
        for person in (ann, bob):
            await person.settle(connection)
        await insert_feedback(connection, [bob.says(FeedbackKind.PREFERENCE, ann.answer, bob.answer)])
        await insert_feedback(connection, [bob.says(FeedbackKind.COMMENT, "mine is better", ann.answer)])
        await insert_audit(connection, ann.id, "rename", f"to {ann.word.upper()}", f"by {ann.id} herself", 1.0)
        await insert_adapter(connection, adapter("base"))
        votes = [{"id": who.answer, "person_id": who.id, "label": 1} for who in (ann, bob)]
        outputs = {"train": {"probes": {"r1": [ann.word]}}, "evaluate": {"votes": votes}, "gate": {"votes": {"delta": 0.5}}}
        await learn(connection, "r1", "base", [ann.row("d1", 0, "train"), bob.row("d1", 1, "heldout")], outputs)
        await insert(connection, reviews, [Review(who.answer, who.id, 1, "new here", "", 1.0) for who in (ann, bob)])
        await insert(connection, failures, [Failure(new_id("chatcmpl"), "r1", who.id, 1.0) for who in (ann, bob)])
        before = await texts(connection)
        assert all(trace in before for trace in (*ann.traces, *bob.traces))

        receipt = await erase_person(connection, ann.id, 5.0)
        after = await texts(connection)
        assert [trace for trace in ann.traces if trace in after] == []
        assert [trace for trace in bob.traces if trace not in after] == []
        assert receipt.counts == {
            "dataset_rows": 1, "reviews": 1, "feedback": 4, "messages": 2,
            "conversations": 1, "failures": 1, "documents": 1, "sessions": 1, "api_keys": 1, "people": 1,
        }  # fmt: skip
        assert await select_person(connection, ann.id) is None
        assert len(await select_messages(connection, bob.conversation, bob.id)) == 2
        assert set(await select_current(connection, bob.answer, bob.id)) == {FeedbackKind.COMMENT, FeedbackKind.THUMB}
        train, evaluate, gate = await select_stages(connection, 1)
        assert gate.output == {"kept": 1, "votes": {"delta": 0.5}}
        assert train.output == {"kept": 1, "probes": {}} and evaluate.output == {"kept": 1, "votes": votes[1:]}
        [entry] = await select_audit(connection, 5)
        assert (entry.actor, entry.detail) == (receipt.id, f"by {receipt.id} herself")

    in_transaction(place, body)


def test_a_receipt_holds_hashes_of_what_went_and_nothing_else_of_it(place: Place) -> None:
    ann = Somebody("ann")

    async def body(connection: AsyncConnection) -> None:
        await ann.settle(connection)
        receipt = await erase_person(connection, ann.id, 5.0)
        assert [receipt] == await select_erasures(connection, 10)
        for trace in (ann.id, ann.conversation, ann.question, ann.answer, ann.feedback):
            assert hashlib.sha256(trace.encode()).hexdigest() in receipt.marks
        assert (receipt.adapters, receipt.cleaned_at_s) == ((), 5.0)
        assert [one.id for one in await select_unfinished(connection)] == [receipt.id]
        await finish_erasure(connection, receipt, 3)
        assert await select_unfinished(connection) == []
        assert (await select_erasures(connection, 1))[0].counts["files"] == 3
        with pytest.raises(LookupError, match=ann.id):
            await erase_person(connection, ann.id, 6.0)

    in_transaction(place, body)


def test_what_learnt_from_the_person_is_tainted_with_all_that_descends_from_it(place: Place) -> None:
    ann, bob = Somebody("ann"), Somebody("bob")

    async def body(connection: AsyncConnection) -> None:
        for person in (ann, bob):
            await person.settle(connection)
        await insert_adapter(connection, adapter("base"))
        await learn(connection, "r1", "base", [bob.row("d1", 0, "train"), ann.row("d1", 1, "heldout")], {})
        await learn(connection, "r2", "r1", [ann.row("d2", 0, "train"), bob.row("d2", 1, "train")], {})
        await learn(connection, "r3", "r2", [bob.row("d3", 0, "train")], {})
        receipt = await erase_person(connection, ann.id, 5.0)
        assert receipt.adapters == ("r2", "r3") and receipt.cleaned_at_s is None
        assert [one.name for one in await select_tainted(connection)] == ["r2", "r3"]
        assert (await select_clean_ancestor(connection, "r3")).name == "r1"
        assert (await select_clean_ancestor(connection, "r1")).name == "r1"
        assert [one.id for one in await select_overfull(connection)] == ["d1", "d2"]
        assert [row.number for row in await select_rows(connection, "d2")] == [1]

        await update_adapter_state(connection, "r2", AdapterState.ERASED)
        await close_erasures(connection, 7, 8.0)
        assert (await select_erasures(connection, 1))[0].cleaned_at_s is None
        await update_adapter_state(connection, "r3", AdapterState.ERASED)
        cleaning = await insert_cycle(connection, "forgotten", "mixed", 7.0)
        await close_erasures(connection, cleaning.id, 8.0)
        [closed] = await select_erasures(connection, 1)
        assert (closed.cycle_id, closed.cleaned_at_s) == (cleaning.id, 8.0)
        kept = await select_adapter(connection, "r2")
        assert kept is not None and kept.tainted_at_s == 5.0

    in_transaction(place, body)


def test_who_is_gone_or_says_no_does_not_teach_again(place: Place) -> None:
    ann, bob, cid = Somebody("ann"), Somebody("bob"), Somebody("cid")

    async def body(connection: AsyncConnection) -> None:
        for person in (ann, bob, cid):
            await person.settle(connection)
        await insert_adapter(connection, adapter("base"))
        await learn(connection, "r1", "base", [who.row("d1", number, "train") for number, who in enumerate((ann, bob, cid))], {})
        assert await select_willing(connection, "d1") == {ann.id, bob.id, cid.id}
        await erase_person(connection, ann.id, 5.0)
        await update_consent(connection, bob.id, False)
        assert await select_willing(connection, "d1") == {cid.id}

    in_transaction(place, body)


def test_the_search_finds_what_should_be_gone_in_tables(place: Place) -> None:
    ann, bob = Somebody("ann"), Somebody("bob")

    async def body(connection: AsyncConnection) -> None:
        for person in (ann, bob):
            await person.settle(connection)
        await erase_person(connection, ann.id, 5.0)
        receipts, marks = await select_marks(connection)
        assert receipts == 1 and await search_tables(connection, marks) == (len(metadata.tables), [])
        await insert_audit(connection, "operator", "note", f"{ann.answer} and {bob.answer}", "", 6.0)
        _, [remain] = await search_tables(connection, marks)
        assert (remain.place, remain.found) == ("table audit", 1)

        await insert_person(connection, Person(ann.id, "back again", 7.0))
        assert hashlib.sha256(ann.id.encode()).hexdigest() in marks - (await select_marks(connection))[1]

    in_transaction(place, body)


def test_a_sweep_takes_deleted_rows_out_of_the_files_while_others_read(tmp_path: Path) -> None:
    crowd = [Somebody(f"p{number}") for number in range(40)]
    ann = crowd[17]

    async def body(db: Database) -> None:
        for person in crowd:
            await db.write(person.settle)
        reading = db.read(lambda connection: texts(connection))
        await db.write(lambda connection: erase_person(connection, ann.id, 5.0))
        await reading
        assert any(ann.word.encode() in file.read_bytes() for file in tmp_path.iterdir())  # in the log, where it was written
        await db.sweep()
        for file in tmp_path.iterdir():
            held = file.read_bytes()
            assert [trace for trace in ann.traces if trace.encode() in held] == []
        _, marks = await db.read(select_marks)
        assert search_files(tmp_path, marks)[1] == []
        assert len(await db.read(lambda connection: select_messages(connection, crowd[3].conversation, crowd[3].id))) == 2

    with_database(tmp_path / "db", body)


def test_the_search_goes_into_every_file_and_into_backups(tmp_path: Path) -> None:
    id, other = new_id("chatcmpl"), new_id("msg")
    marks = {hashlib.sha256(id.encode()).hexdigest()}
    home, elsewhere = tmp_path / "home", tmp_path / "backup.tar"
    (home / "deep").mkdir(parents=True)
    (home / "deep" / "clean.log").write_text(other)
    (home / "deep" / "edge.bin").write_bytes(b"x" * (2**20 - 11) + id.encode() + b"-" * 100 + id.encode() + b" " + other.encode())
    with tarfile.open(elsewhere, "w:gz") as archive:
        held = tarfile.TarInfo("ratchet.db")
        held.size = len(id)
        archive.addfile(held, io.BytesIO(id.encode()))
    (home / KNOWN).write_text(f'{{"path": "{elsewhere}", "created_at_s": 1.0}}\n')
    files, remains = search_files(home, marks)
    assert files == 4
    assert {(remain.place, remain.found) for remain in remains} == {
        (str(home / "deep" / "edge.bin"), 2),
        (f"{elsewhere}: ratchet.db", 1),
    }


def test_a_late_write_is_known_for_one(place: Place) -> None:
    ann, bob = Somebody("ann"), Somebody("bob")

    async def body(connection: AsyncConnection) -> None:
        for person in (ann, bob):
            await person.settle(connection)
        await erase_person(connection, ann.id, 5.0)
        assert await was_erased_since(connection, ann.id, 4.9)  # said before, written after
        assert not await was_erased_since(connection, ann.id, 5.1)  # back again since
        assert not await was_erased_since(connection, bob.id, 4.9)

    in_transaction(place, body)
