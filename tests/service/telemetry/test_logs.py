"""Lines say which request they are of; what people say and what opens doors is in none of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from service.home_key import new_key
from service.telemetry.logs import JsonFormatter, TextFormatter, name_request, rename_request, start_log, without_keys
from service.telemetry.settings import LogSettings
from storage.database import Database
from tests.service.telemetry.watched import fetch, say, vote, watched_service

SECRET = "the-red-bicycle-in-the-cellar"


@contextmanager
def heard(formatter: logging.Formatter) -> Iterator[StringIO]:
    """All that is logged inside."""
    stream = StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    handler.setFormatter(formatter)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def test_an_object_a_line_with_the_request(tmp_path: Path) -> None:
    with heard(JsonFormatter()) as lines, watched_service(tmp_path, log=LogSettings(requests=True)) as (service, _):
        answer = say(service)
        vote(service, answer, thumb="up")
        status, _, headers = fetch(service, "/nowhere")
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    requests = {one["request_id"]: one for one in told if one["logger"] == "service.telemetry.requests"}
    asked = requests[answer]
    assert (asked["method"], asked["route"], asked["status"]) == ("POST", "/v1/chat/completions", 200) and asked["took_ms"] > 0
    assert answer.startswith("chatcmpl-")  # an answer's request is called as its answer
    assert status == requests[headers["x-request-id"]]["status"] == 404


def test_no_words_of_people_and_no_keys(tmp_path: Path) -> None:
    with heard(TextFormatter()) as lines, watched_service(tmp_path, log=LogSettings(requests=True)) as (service, _):
        answer = say(service, SECRET, key=f"key-{SECRET}")
        vote_status = fetch(service, "/v1/feedback", {"completion_id": answer, "comment": SECRET}, f"key-{SECRET}")[0]
        fetch(service, "/v1/chat/completions", {"model": "ratchet", "messages": SECRET})

        async def break_off() -> None:
            async def write(connection: object) -> None:
                await connection.exec_driver_sql("INSERT INTO nowhere VALUES (?)", (SECRET,))  # type: ignore[attr-defined]

            database: Database = service.parts.database
            try:
                await database.write(write)
            except Exception:
                logging.getLogger(__name__).exception("it broke")

        service.call(break_off())
    said = lines.getvalue()
    assert vote_status == 200 and "it broke" in said and "INSERT INTO nowhere" in said
    assert f"[{answer}]" in said and SECRET not in said


def test_keys_are_crossed_out() -> None:
    key = new_key()
    assert without_keys(f"a {key} b, Authorization: Bearer abc.def") == "a [key] b, Authorization: [key]"


def test_what_a_request_begins_shares_its_name() -> None:
    name = name_request()
    first = name.id
    rename_request("chatcmpl-1")
    assert first.startswith("req-") and name.id == "chatcmpl-1"


@pytest.mark.parametrize("format", ["text", "json"])
def test_the_settings_say_form_and_level(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        start_log(LogSettings(format=format, level="warning"))  # type: ignore[arg-type]
        logging.getLogger("mill").info("quiet")
        logging.getLogger("mill").warning("loud %s", "and clear")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    told = capsys.readouterr().err
    assert "loud and clear" in told and "quiet" not in told
    assert told.startswith("{") == (format == "json")
