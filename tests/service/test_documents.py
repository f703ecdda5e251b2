"""Documents come in over HTTP and by the command line, are looked at, and taken back. No engine is needed for that."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from litestar import Litestar, Router
from litestar.di import Provide

from learner.context import Context
from service import documents
from service.cli import main
from service.errors import respond
from storage.artifacts import Artifacts
from storage.database import Database
from tests.databases import Place
from tests.service.command_line import Served, audited, serve

ABOUT = {"domain": "general", "language": "en", "source": "a book", "licence": "CC0-1.0"}
ROWS = b'{"prompt": "2+2?", "completion": "4"}\n{"prompt": "3+3?", "completion": "6"}\nbad\n'


class Desk:
    """A service that takes documents, and nothing else."""

    def __init__(self, served: Served, home: Path, database: Database) -> None:
        self.url, self.home, self._served, self._database = served.url, home, served, database

    def audited(self) -> list[str]:
        return audited(self._served, self._database)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and answer; of an import its lines."""
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, method=method), timeout=60) as response:
                lines = response.read().splitlines()
                return response.status, [json.loads(line) for line in lines] if path.startswith(
                    "/api/documents/import"
                ) else json.loads(*lines)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())["error"]["message"]

    def bring_in(self, name: str, body: bytes, **about: str) -> tuple[int, Any]:
        return self.ask("POST", f"/api/documents/import?{urlencode({**ABOUT, 'name': name, **about})}", body)

    def rests(self) -> list[Path]:
        return list((self.home / "artifacts" / "tmp").iterdir())


@pytest.fixture
def desk(place: Place, tmp_path: Path) -> Iterator[Desk]:
    home = tmp_path / "home"

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.database = await Database.open(place)
        yield
        await app.state.database.close()

    nothing: Any = None
    context = Context(home, nothing, Artifacts(home), *[nothing] * 7)
    parts: dict[str, Any] = {"database": lambda: app.state.database, "context": lambda: context, "clock": lambda: lambda: 5.0}
    parts["actor"] = lambda: "operator"
    app = Litestar(
        [Router("/api", route_handlers=documents.HANDLERS)],
        lifespan=[lifespan],
        dependencies={name: Provide(part, sync_to_thread=False) for name, part in parts.items()},
        exception_handlers={Exception: respond},
    )
    with serve(app) as served:
        yield Desk(served, home, app.state.database)


def test_a_file_comes_in_is_listed_and_taken_back(desk: Desk) -> None:
    status, [*_, last] = desk.bring_in("rows.jsonl", ROWS)
    done = last["imported"]
    assert (status, done["kind"], done["records"], done["added"], done["skipped"]) == (200, "demonstration", 3, 2, 1)
    assert done["first_skipped"][0]["place"] == "line 3"
    _, [*_, again] = desk.bring_in("other-name.jsonl", ROWS)
    assert (again["imported"]["added"], again["imported"]["known"], again["imported"]["id"]) == (0, 2, done["id"])
    _, [first] = desk.ask("GET", "/api/imports")
    assert (first["id"], first["added"], first["ended_at_s"]) == (done["id"], 2, 5.0)
    _, page = desk.ask("GET", "/api/documents?kind=demonstration&domain=general&limit=1")
    assert page["has_more"] and page["data"][0]["content"][1] == {"role": "assistant", "content": "4"}
    _, rest = desk.ask("GET", f"/api/documents?after={page['last_id']}")
    assert [one["content"][1]["content"] for one in rest["data"]] == ["6"] and not rest["has_more"]
    assert desk.ask("GET", "/api/documents?kind=corpus")[1]["data"] == []
    assert desk.ask("GET", "/api/documents?after=unknown") == (404, "there is no document 'unknown'")
    assert desk.ask("GET", "/api/documents/sources")[1] == [{"kind": "demonstration", **ABOUT, "documents": 2}]
    assert desk.ask("DELETE", "/api/documents?source=a%20book") == (200, {"source": "a book", "documents": 2, "imports": 1})
    assert desk.ask("DELETE", "/api/documents?source=a%20book")[0] == 404
    assert desk.ask("GET", "/api/documents")[1]["data"] == [] == desk.ask("GET", "/api/imports")[1]
    assert desk.audited() == [
        "documents.import a book: 3 records: 2 documents added, 0 known, 1 skipped",
        "documents.import a book: 3 records: 0 documents added, 2 known, 1 skipped",
        "documents.delete a book: 2 documents, 1 imports",
    ]
    assert desk.rests() == []


def test_what_cannot_come_in_is_refused_with_one_clear_line(desk: Desk) -> None:
    for name, body, about, words in (
        ("a.jsonl", b"", {}, "a.jsonl: the file is empty"),
        ("a.pdf", b"no PDF", {}, "a.pdf: the file is damaged, or no PDF"),
        ("a.jsonl.gz", gzip.compress(ROWS * 1000)[:-50], {}, "cannot be unpacked as gzip"),
        ("a.txt", b"words", {"kind": "chat"}, "of kind corpus, not chat"),
        ("a.xyz", b"words", {}, "'a.xyz' does not tell the layout"),
        ("a.txt", b"words", {"layout": "docx"}, "docx"),
        ("a.txt", b"words", {"kind": "tale"}, "tale"),
        ("a.txt", b"words", {"language": "English, mostly"}, "language is 'English, mostly', expected a code like en"),
        ("a.txt", b"words", {"source": " "}, "source is ' ', expected"),
        ("a.txt", b"words", {"source": "a\0b"}, "source"),
        ("a.txt", b"words", {"domain": ""}, "domain is ''"),
    ):
        status, said = desk.bring_in(name, body, **about)
        assert (status, words in said, "\n" in said) == (400, True, False), (name, about, said)
    assert (desk.ask("GET", "/api/imports")[1], desk.ask("GET", "/api/documents/sources")[1], desk.rests()) == ([], [], [])


def test_what_is_found_late_to_be_broken_is_the_last_line(desk: Desk) -> None:
    body = b"text\n" + b"good\n" * 30_000 + b'"never ends\n'
    status, answer = desk.bring_in("a.csv", body)
    if status == 200:  # the first step was faster than the end
        answer = answer[-1]["error"]["message"]
    assert "begins a quote that never ends" in answer
    assert (desk.ask("GET", "/api/imports")[1], desk.rests()) == ([], [])


def test_the_command_line_brings_in_files(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RATCHET_URL", desk.url)
    monkeypatch.setenv("RATCHET_KEY", "key")
    file = tmp_path / "größe & co.jsonl"
    file.write_bytes(ROWS)
    about = [part for name, value in ABOUT.items() for part in (f"--{name}", value)]
    main(["data", "import", str(file), *about, "--json"])
    assert json.loads(capsys.readouterr().out)["added"] == 2
    main(["data", "import", str(file), *about, "--kind", "chat"])
    said = capsys.readouterr().out
    assert "3 records of kind chat: 2 documents added, 0 there already, 1 records skipped\n     line 3: is not JSON" in said
    main(["data", "sources"])
    head, *table = capsys.readouterr().out.splitlines()
    assert head.split() == ["kind", "domain", "language", "source", "licence", "documents"]
    assert [line.split()[0] for line in table] == ["chat", "demonstration"]

    def fails(*arguments: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main(["data", "import", *arguments])
        return ended.value.code, capsys.readouterr().err.splitlines()[-1]

    (tmp_path / "bad.json").write_text('[{"te')
    status, said = fails(str(tmp_path / "bad.json"), *about)
    assert status == 1 and "bad.json: the file is not JSON" in said
    status, said = fails(str(tmp_path / "missing.txt"), *about)
    assert status == 1 and "missing.txt cannot be read" in said
    status, said = fails(str(file), "--domain", "general")
    assert status == 2 and "--language, --source, --licence" in said
    status, said = fails(str(file), "--layout", "openwebui-chats", "--kind", "chat")
    assert status == 2 and "no --kind" in said
