"""Files become documents: whole or not at all, once, from where they were cut off, and in memory that does not grow."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import signal
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from sqlalchemy import func, select

from learner.corpora.intake import Imported, import_documents
from learner.corpora.read import Reading
from learner.corpora.spec import FILE, About, Layout, Progress, Skipped, Unreadable, document_id, import_id
from storage.artifacts import Artifacts
from storage.database import Database
from storage.documents import select_documents
from storage.imports import MovedError, select_imports
from storage.records import DocumentKind, Import
from storage.tables import documents
from tests.databases import Place
from tests.storage.loop import with_database

ABOUT = About(None, "general", "en", "a book", "CC0-1.0", Layout.JSONL)
ROWS = 1000


def rows(count: int = ROWS) -> bytes:
    """Texts, every tenth of which says what the one before said; and a bad line after each hundred."""
    lines = []
    for number in range(count):
        lines.append(json.dumps({"text": f"Text {number - (number % 10 == 9)}"}))
        if number % 100 == 99:
            lines.append("bad")
    return "\n".join(lines).encode()


class Desk:
    """A database, and folders into which files are put."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self.database, self._artifacts = database, artifacts

    def begin(self, data: bytes, about: About = ABOUT) -> AsyncGenerator[Progress | Imported, None]:
        folder = self._artifacts.temporary_dir()
        (folder / FILE).write_bytes(data)
        return import_documents(self.database, self._artifacts, folder, about, lambda: 5.0)

    async def bring_in(self, data: bytes, about: About = ABOUT) -> Imported:
        *_, last = [step async for step in self.begin(data, about)]
        assert isinstance(last, Imported)
        return last

    async def count(self) -> int:
        counting = select(func.count()).select_from(documents)
        return int(await self.database.read(lambda connection: connection.scalar(counting)))

    async def imports(self) -> list[Import]:
        return await self.database.read(lambda connection: select_imports(connection, 10))


def children() -> set[int]:
    """Processes that this thread started."""
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


async def new_child(before: set[int]) -> int:
    while not (new := children() - before):
        await asyncio.sleep(0)
    return new.pop()


def at_desk(place: Place, home: Path, body: Callable[[Desk], Awaitable[None]]) -> None:
    with_database(place, lambda database: body(Desk(database, Artifacts(home))))


def test_a_file_comes_in_once(place: Place, tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        done = await desk.bring_in(rows())
        assert (done.kind, done.records, done.added, done.known, done.skipped) == (DocumentKind.CORPUS, 1010, 900, 100, 10)
        assert done.first_skipped[0].place == "line 101" and len(done.first_skipped) == 10
        again = await desk.bring_in(rows())
        assert (again.records, again.added, again.known, again.skipped, again.after) == (1010, 0, 1000, 10, 0)
        other = await desk.bring_in(rows() + b'\n{"text": "new"}', About(None, "general", "en", "a film", "CC0-1.0", Layout.JSONL))
        assert (other.added, other.known) == (1, 1000)
        assert await desk.count() == 901
        file = next(one for one in await desk.imports() if one.id == done.id)
        assert (file.records, file.added, file.skipped, file.ended_at_s) == (1010, 900, 10, 5.0)
        [first] = await desk.database.read(lambda connection: select_documents(connection, DocumentKind.CORPUS, 1))
        assert (first.content, first.licence, first.created_at_s) == ("Text 0", "CC0-1.0", 5.0)
        assert first.id == document_id(DocumentKind.CORPUS, "general", "Text 0")

    at_desk(place, tmp_path / "home", body)


@pytest.mark.parametrize("steps", [1, 3])
def test_an_import_that_was_cut_off_goes_on(place: Place, tmp_path: Path, steps: int) -> None:
    async def body(desk: Desk) -> None:
        added = []
        async with aclosing(desk.begin(rows())) as running:
            async for step in running:
                assert isinstance(step, Progress)
                if step.step == "adding":
                    added.append(step)
                if len(added) == steps:
                    break
        [cut_off] = await desk.imports()
        assert (cut_off.records, cut_off.added, cut_off.ended_at_s) == (added[-1].records, added[-1].added, None)
        assert await desk.count() == cut_off.added < 900
        done = await desk.bring_in(rows())
        assert (done.after, done.added) == (cut_off.records, 900 - cut_off.added)
        assert (done.records, done.skipped, len(done.first_skipped)) == (1010, 10, 10)
        [file] = await desk.imports()
        assert (file.records, file.added, file.skipped) == (1010, 900, 10)
        assert await desk.count() == 900

    at_desk(place, tmp_path / "home", body)


def test_a_client_that_leaves_while_the_file_is_read_leaves_nothing(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        before = children()
        running = asyncio.create_task(desk.bring_in(rows()))
        await new_child(before)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert children() == before
        assert (await desk.count(), await desk.imports()) == (0, [])
        assert (await desk.bring_in(rows())).added == 900

    at_desk(tmp_path / "db", tmp_path / "home", body)


def test_a_file_that_is_broken_at_its_end_leaves_nothing(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        packed = gzip.compress(rows(5000))
        with pytest.raises(Unreadable, match="damaged"):
            await desk.bring_in(packed[:-100])
        with pytest.raises(Unreadable, match="never ends"):
            await desk.bring_in(b"text\n" + b"good\n" * 2000 + b'"bad\n', About(None, "g", "en", "s", "l", Layout.CSV))
        assert (await desk.count(), await desk.imports()) == (0, [])

    at_desk(tmp_path / "db", tmp_path / "home", body)


def test_a_reader_that_is_killed_is_told_in_one_line(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        before = children()
        running = asyncio.create_task(desk.bring_in(rows(100_000)))
        os.kill(await new_child(before), signal.SIGKILL)
        with pytest.raises(Unreadable, match=r"could not be read to its end .*SIGKILL"):
            await running
        assert await desk.imports() == []

    at_desk(tmp_path / "db", tmp_path / "home", body)


def test_the_same_file_twice_at_the_same_time_adds_nothing_twice(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        async with aclosing(desk.begin(rows())) as slow:
            while not (isinstance(step := await anext(slow), Progress) and step.step == "adding"):
                pass
            assert (await desk.bring_in(rows())).added == 900 - step.added
            with pytest.raises(MovedError, match="goes on elsewhere"):
                await anext(slow)
        assert await desk.count() == 900

    at_desk(tmp_path / "db", tmp_path / "home", body)


def test_many_bad_records_are_all_counted_and_the_first_are_named(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        data = b'{"text": "good"}\n' + b"".join(b'{"text": %d}\n' % number for number in range(700))
        done = await desk.bring_in(data)
        assert (done.added, done.skipped, len(done.first_skipped)) == (1, 700, 100)
        assert done.first_skipped[0] == Skipped("line 2", "text is 0, expected text")

    at_desk(tmp_path / "db", tmp_path / "home", body)


def test_what_is_said_about_a_file_makes_another_import_of_it() -> None:
    others = [
        About(DocumentKind.CORPUS, "general", "en", "a book", "CC0-1.0", Layout.JSONL),
        About(None, "law", "en", "a book", "CC0-1.0", Layout.JSONL),
        About(None, "general", "en", "a book", "CC0-1.0", Layout.JSON),
    ]
    assert len({import_id(sha256, about) for about in (ABOUT, *others) for sha256 in ("a", "b")}) == 8
    content = {"prompt": [], "chosen": "a", "rejected": "b"}
    same = dict(reversed(content.items()))
    assert document_id(DocumentKind.PREFERENCE, "g", content) == document_id(DocumentKind.PREFERENCE, "g", same)


def write_lines(file: Path, layout: Layout, count: int) -> None:
    text = "Some words that stand in a line of a file. " * 10
    with file.open("w", newline="") as stream:
        match layout:
            case Layout.JSONL:
                stream.writelines(json.dumps({"text": f"{number} {text}"}) + "\n" for number in range(count))
            case Layout.CSV:
                csv.writer(stream).writerows([["text"], *([f"{number} {text}"] for number in range(count))])
            case Layout.YAML:
                stream.write("conversations:\n")
                stream.writelines(f"- - {number}\n  - {text}\n" for number in range(count))
            case Layout.MARKDOWN:
                stream.writelines(f"# {number}\n\n{text}\n\n" for number in range(count))
            case _:
                stream.writelines(f"{number} {text}" for number in range(count))  # all of it one line


@pytest.mark.parametrize("layout", [Layout.TEXT, Layout.MARKDOWN, Layout.JSONL, Layout.CSV, Layout.YAML])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, layout: Layout) -> None:
    def peak_bytes(count: int) -> int:
        file = tmp_path / f"{count}"
        write_lines(file, layout, count)
        return min(traced(file, count) for _ in range(3))  # other threads of the run are traced as well

    def traced(file: Path, count: int) -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in Reading(file, layout, None)) > count / 20
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(100)  # what is made once, on first use
    assert peak_bytes(8000) < 1.2 * peak_bytes(2500) + 100_000  # 3.5 MB, of which 1 MB is read at once
