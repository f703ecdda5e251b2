"""Conversations with feedback go out and come in over HTTP and by the command line, for operators alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from storage.audit import select_audit
from storage.feedback import insert_feedback
from storage.interchange.opinion import Opinion, write_opinion
from tests.conftest import Service
from tests.storage.loop import furnish, message
from tests.storage.openwebui import chat, rated

pytestmark = pytest.mark.engine


def ask(service: Service, method: str, path: str, body: bytes | None = None, key: str | None = None) -> tuple[int, str, bytes]:
    """(status, content type, body)"""
    headers = {"Authorization": f"Bearer {key or service.key}"}
    request = urllib.request.Request(service.url + path, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers["content-type"], response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read()


def furnish_service(service: Service) -> None:
    async def fill(connection: Any) -> None:
        await furnish(connection)
        liked = write_opinion(message("second", "follow-up"), Opinion(thumb="up", correction="better", at_s=7.0))
        await insert_feedback(connection, liked)

    service.call(service.parts.database.write(fill))


def test_files_of_two_programs_come_in_and_go_out(service: Service) -> None:
    furnish_service(service)
    big = chat("big")
    big["chat"]["history"]["messages"]["a1"]["content"] = "x" * 2_000_000  # more than other requests may bring
    body = json.dumps([chat(), big, {"id": "no owner"}]).encode()
    status, _, answer = ask(service, "POST", "/api/data/import?layout=openwebui-chats", body)
    imported = json.loads(answer)
    assert (status, imported["records"], imported["skipped"]) == (200, 3, 1), imported
    assert imported["added"] == {"people": 1, "conversations": 2, "messages": 12, "feedback": 2}
    assert "user_id" in imported["first_skipped"][0]["reason"]
    ask(service, "POST", "/api/data/import?layout=openwebui-feedback", json.dumps([rated()]).encode())
    status, kind, lines = ask(service, "GET", "/api/data/export?layout=preference")
    assert (status, kind) == (200, "application/x-ndjson")
    pairs = [json.loads(line) for line in lines.splitlines()]
    assert sorted((pair["metadata"]["kind"], pair["chosen"][0]["content"], pair["metadata"]["served"]) for pair in pairs) == [
        ("correction", "better", True),
        ("thumbs", "Paris.", False),
    ]
    entries = service.call(service.parts.database.read(lambda connection: select_audit(connection, 10)))
    assert [entry.action for entry in entries if entry.action.startswith("data.")] == ["data.export", "data.import", "data.import"]
    assert list((service.home / "artifacts" / "tmp").iterdir()) == []


def test_what_cannot_be_asked_is_refused_with_one_clear_line(service: Service) -> None:
    def problem(method: str, path: str, body: bytes | None = None, key: str | None = None) -> tuple[int, str]:
        status, _, answer = ask(service, method, path, body, key)
        return status, json.loads(answer)["error"]["message"]

    assert problem("GET", "/api/data/export?layout=messages", key="a-person")[0] == 403
    assert problem("POST", "/api/data/import?layout=messages", b"", key="a-person")[0] == 403
    status, words = problem("GET", "/api/data/export?layout=parquet")
    assert status == 400 and "parquet" in words
    status, words = problem("POST", "/api/data/import?layout=openwebui-chats", b'[{"id": ')
    assert status == 400 and "expected an array of records" in words
    assert list((service.home / "artifacts" / "tmp").iterdir()) == []


def test_the_command_line_writes_a_file_and_reads_it_back(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    furnish_service(service)
    monkeypatch.setenv("RATCHET_URL", service.url)
    monkeypatch.setenv("RATCHET_KEY", service.key)
    file = tmp_path / "export.jsonl"
    main(["data", "export", "--layout", "messages", "--json", str(file)])
    assert json.loads(capsysbinary.readouterr().out) == {"layout": "messages", "file": str(file), "lines": 2}
    main(["data", "export", "--layout", "messages", "-"])
    assert capsysbinary.readouterr().out == file.read_bytes()
    main(["data", "import", "--layout", "messages", "--json", str(file)])
    assert json.loads(capsysbinary.readouterr().out)["added"] == {"people": 0, "conversations": 0, "messages": 0, "feedback": 0}
    file.write_bytes(b"no JSON\n")
    main(["data", "import", "--layout", "messages", str(file)])
    said = capsysbinary.readouterr().out.decode()
    assert "1 records" in said and "1 skipped" in said and "record 1: JSON is malformed" in said
    with pytest.raises(SystemExit, match="1"):
        main(["data", "import", "--layout", "openwebui-chats", str(file)])
    assert "expected an array of records" in capsysbinary.readouterr().err.decode()
    with pytest.raises(SystemExit, match="1"):
        main(["data", "import", "--layout", "messages", str(tmp_path / "missing")])
    assert "missing cannot be read" in capsysbinary.readouterr().err.decode()
    assert sorted(path.name for path in tmp_path.glob("*export*")) == ["export.jsonl"]
