"""Whatever file comes in: its records, each taken or skipped with a reason, or one word about the whole of it, and nothing kept."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from sqlalchemy import func, select

from learner.corpora.job import run
from learner.corpora.spec import FILE, JOB, RECORDS, Job, Layout, Line
from storage import tables
from storage.database import Database
from storage.interchange.incoming import FileError, ImportLayout, import_file
from tests.fuzz.inputs import amounts, damaged, damaged_json, fuzz
from tests.learner.papers import pdf
from tests.storage.openwebui import chat, rated

ASK, ANSWER = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
RECORD_SAMPLES: list[Any] = [
    {"text": "A text."},
    {"messages": [{"role": "system", "content": "Be brief."}, ASK, ANSWER]},
    {"conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]},
    {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
    {"prompt": [ASK], "completion": [ANSWER], "label": True},
    {"instruction": "Add.", "input": "2+2", "output": "4", "system": "Be brief."},
    {"input": {"messages": [ASK]}, "preferred_output": [ANSWER], "non_preferred_output": [{"role": "assistant", "content": "5"}]},
]
LINES = b"\n".join(json.dumps(record).encode() for record in RECORD_SAMPLES)
HTML = (
    b"<!doctype html><html><head><title>t</title></head><body><nav>n</nav><main><h1>A</h1><p>B<br>c</p>"
    b"<table><tr><td>1</td></tr></table></main></body></html>"
)
YAML = b"categories:\n- a\nconversations:\n- - What is it?\n  - It is a test.\n- - 'Yes: so'\n  - No\n"


def parquet() -> bytes:
    table = pa.table({"prompt": ["2+2?", "3+3?"], "completion": ["4", "6"], "other": [1, 2]})
    pq.write_table(table, out := io.BytesIO())
    return out.getvalue()


SAMPLES = {
    Layout.TEXT: [b"A paragraph.\n\nAnother one.\n", "Größe\r\n".encode("utf-16"), gzip.compress(b"Packed.\n\nTwice.")],
    Layout.MARKDOWN: [b"# Title\n\nWords *here*.\n\n```\ncode\n```\n- a\n- b\n"],
    Layout.HTML: [HTML],
    Layout.PDF: [pdf([["First page."], ["Second page."]])],
    Layout.JSONL: [LINES, gzip.compress(LINES)],
    Layout.JSON: [json.dumps(RECORD_SAMPLES).encode()],
    Layout.PARQUET: [parquet()],
    Layout.CSV: [b'prompt,completion\n2+2?,4\n"a, b","c""d"\n', b"text;x\nwords;1\n"],
    Layout.YAML: [YAML],
}


def inputs_of(layout: Layout) -> st.SearchStrategy[bytes]:
    found = damaged(SAMPLES[layout])
    if layout is Layout.JSON:
        found |= damaged_json([RECORD_SAMPLES])
    if layout is Layout.JSONL:
        found |= st.lists(damaged_json(RECORD_SAMPLES), min_size=1, max_size=4).map(b"\n".join)
    return found


@pytest.mark.parametrize("layout", SAMPLES)
@amounts(100, 10_000)
def test_a_file_is_read_record_by_record_or_refused_whole(layout: Layout, inputs: int, tmp_path: Path) -> None:
    (tmp_path / JOB).write_bytes(msgspec.json.encode(Job(None, layout)))
    decode = msgspec.json.Decoder(Line).decode

    def check(data: bytes) -> None:
        (tmp_path / FILE).write_bytes(data)
        result = run(tmp_path)
        if result.problem is not None:
            assert result.problem.strip()
            return
        lines = [decode(line) for line in (tmp_path / RECORDS).read_bytes().splitlines()]
        assert len(lines) == result.records > 0
        assert sum(not line.contents for line in lines) == result.skipped
        assert all(bool(line.contents) != bool(line.reason) and line.place for line in lines)

    fuzz(inputs, inputs_of(layout), check)


MESSAGES = {
    "messages": [ASK, ANSWER],
    "metadata": {
        "person_id": "p1",
        "learn": True,
        "conversation_id": "c1",
        "title": "Sums",
        "created_at_s": 1.0,
        "updated_at_s": 2.0,
        "messages": [
            {"id": "m1", "at_s": 1.0, "adapter": "", "feedback": {}},
            {"id": "m2", "at_s": 2.0, "adapter": "base", "feedback": {"thumb": "up", "comment": "Right."}},
        ],
    },
}
DATA_SAMPLES: dict[ImportLayout, list[Any]] = {
    ImportLayout.OPENWEBUI_CHATS: [chat(), chat("c2", "u2")],
    ImportLayout.OPENWEBUI_FEEDBACK: [rated()],
    ImportLayout.MESSAGES: [MESSAGES],
}


def files_of(layout: ImportLayout) -> st.SearchStrategy[bytes]:
    samples = DATA_SAMPLES[layout]
    if layout is ImportLayout.MESSAGES:
        records = st.lists(damaged_json(samples), min_size=1, max_size=3).map(b"\n".join)
        return records | damaged([json.dumps(samples[0]).encode()])
    return damaged_json([samples]) | damaged([json.dumps(samples).encode()])


@pytest.mark.parametrize("layout", DATA_SAMPLES)
@amounts(120, 10_000)
def test_conversations_of_others_come_in_whole_record_by_record_or_not_at_all(
    layout: ImportLayout, inputs: int, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    with asyncio.Runner() as runner:
        database = runner.run(opened(tmp_path / "db"))

        def check(data: bytes) -> None:
            file.write_bytes(data)
            before = runner.run(rows(database))
            try:
                done = runner.run(import_file(database, file, layout))
            except FileError as error:
                assert str(error)
                assert runner.run(rows(database)) == before
                return
            after = runner.run(rows(database))
            assert after["messages"] - before["messages"] == done.added.messages
            assert after["feedback"] - before["feedback"] == done.added.feedback
            assert done.skipped <= done.records and all(one.reason for one in done.first_skipped)
            assert runner.run(orphans(database)) == 0
            assert runner.run(import_file(database, file, layout)).added == type(done.added)()

        try:
            fuzz(inputs, files_of(layout), check)
        finally:
            runner.run(database.close())


async def opened(place: Path) -> Database:
    return await Database.open(place)


async def rows(database: Database) -> dict[str, int]:
    async def count(connection: Any) -> dict[str, int]:
        kinds = (tables.people, tables.conversations, tables.messages, tables.feedback)
        return {one.name: (await connection.execute(select(func.count()).select_from(one))).scalar_one() for one in kinds}

    return await database.read(count)


async def orphans(database: Database) -> int:
    """How many rows point to one that is not there."""

    async def look(connection: Any) -> int:
        return len((await connection.exec_driver_sql("PRAGMA foreign_key_check")).all())

    return await database.read(look)


@pytest.mark.parametrize("layout", DATA_SAMPLES)
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"messages":'])
def test_a_file_nested_without_end_is_refused_or_skipped(layout: ImportLayout, opening: bytes, tmp_path: Path) -> None:
    (file := tmp_path / "file").write_bytes(opening * 100_000)

    async def bring_in() -> None:
        database = await opened(tmp_path / "db")
        try:
            done = await import_file(database, file, layout)
            assert done.added == type(done.added)() and done.skipped == 1
        except FileError as error:
            assert str(error)
        finally:
            await database.close()

    asyncio.run(bring_in())
