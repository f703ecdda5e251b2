"""Commands that move things between a service and an operator: what is sent, what is printed, what is left on disk."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from service.errors import respond
from service.problem import Problem
from tests.service.command_line import printed, run, serve

NAME = "r7-1a2b3c4d"
CYCLE = {
    "id": 7, "state": "rejected", "trigger": "operator", "method": "kto", "adapter": NAME, "reasons": ["worse on facts"],
    "started_at_s": 0.0,
}  # fmt: skip
STATUS: dict[str, Any] = {
    "engine": "ready", "engine_restarts": 2, "live": NAME, "previous": "base", "cycle": None, "progress": None, "last": CYCLE,
    "tried": [{"adapter": "r8-2b3c4d5e", "share": 0.05}],
    "outlook": {
        "enabled": True, "trigger": None, "next_look_at_s": 60.0,
        "needs": [
            {"way": "evidence", "what": "people", "have": 2.0, "need": 5.0, "met": False},
            {"way": "interval", "what": "hours", "have": 9.0, "need": 6.0, "met": True},
        ],
    },
}  # fmt: skip


class Desk:
    """The other side of the commands; it notes what is asked."""

    def __init__(self) -> None:
        self.status = STATUS
        self.asked: list[Any] = []
        self.files: list[str] = []

    def routes(self) -> list[HTTPRouteHandler]:
        @get("/api/status")
        async def status() -> dict[str, Any]:
            return self.status

        @get("/api/adapters/{name:str}/export")
        async def export(name: FromPath[str]) -> Response[bytes]:
            if name != NAME:
                raise Problem("not_found", f"there is no adapter {name!r}")
            return Response(tar_of({"adapter_config.json": b"{}", "README.md": b"# card"}), media_type="application/x-tar")

        @post("/api/adapters/import")
        async def take(request: Request[Any, Any, Any]) -> dict[str, str]:
            with tarfile.open(fileobj=io.BytesIO(await request.body())) as tar:
                self.files = tar.getnames()
            return {"name": "r8-2b3c4d5e", "state": "candidate"}

        @post("/api/adapters/{name:str}/judge")
        async def judge(name: FromPath[str]) -> dict[str, Any]:
            self.asked.append(("judge", name))
            return CYCLE

        @post("/api/cycles/{cycle_id:int}/resume")
        async def resume(cycle_id: FromPath[int]) -> dict[str, Any]:
            if cycle_id != 7:
                raise Problem("conflict", f"cycle {cycle_id} has nothing to go on from: its evidence is used up")
            self.asked.append(("resume", cycle_id))
            return CYCLE

        @get("/api/cycles/{cycle_id:int}")
        async def cycle(cycle_id: FromPath[int]) -> dict[str, Any]:
            stage = {"name": "train", "started_at_s": 1.0, "ended_at_s": 3.5}
            return {"cycle": CYCLE, "stages": [stage], "progress": None}

        @get("/api/suites/compare")
        async def compare(a: FromQuery[str], b: FromQuery[str]) -> dict[str, Any]:
            return {"before": a, "after": b, "verdict": "promote", "suites": []}

        @post("/api/adapters/ask")
        async def ask(data: JSONBody[dict[str, Any]]) -> list[dict[str, str]]:
            self.asked.append(data)
            return [{"version": name, "content": f"[{name}] says so"} for name in data["versions"]]

        @get("/api/people")
        async def people(after: FromQuery[str], limit: FromQuery[int]) -> dict[str, Any]:
            ann = {"id": "person-1", "name": "Ann [bold]", "created_at_s": 0.0, "learn": True}
            return {"data": [ann][:limit], "has_more": not after}

        @post("/api/people")
        async def add(data: JSONBody[dict[str, str]]) -> dict[str, str]:
            return {"id": "person-2", "key": "rt_secret", **data}

        return [status, export, take, judge, resume, cycle, compare, ask, people, add]


def tar_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture(scope="module")
def whole() -> Iterator[tuple[Desk, str]]:
    desk = Desk()
    with serve(Litestar(desk.routes(), exception_handlers={Exception: respond})) as served:
        yield desk, served.url


@pytest.fixture
def desk(whole: tuple[Desk, str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The command line beside it."""
    desk, url = whole
    monkeypatch.setenv("RATCHET_URL", url)
    monkeypatch.setenv("RATCHET_KEY", "key")
    desk.status, desk.asked = STATUS, []
    return desk


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(*arguments) == 0
    return capsys.readouterr().out.splitlines()


def test_status_says_what_the_next_cycle_waits_for(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [" ".join(line.split()) for line in told(capsys, "status")]
    assert lines == [
        "engine ready, 2 restarts",
        f"live {NAME} (before: base)",
        "tried r8-2b3c4d5e, by 5% of the people",
        f"last cycle 7 rejected {NAME}",
        "worse on facts",
        "next is not due yet, looked at again at 1970-01-01 00:01 UTC",
        "",
        "a cycle starts when there is have need met",
        "by evidence people 2 5 no",
        "by time hours 9 6 yes",
    ]
    assert printed(capsys, "status") == STATUS


def test_status_says_where_a_running_cycle_is(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    at = {"stage": "train", "done": 3, "total": 9, "detail": "", "loss": 0.5, "rows_per_s": 2.0, "eta_s": 61.0}
    desk.status = {**STATUS, "cycle": {**CYCLE, "id": 8}, "progress": at, "outlook": {**STATUS["outlook"], "enabled": False}}
    lines = told(capsys, "status")
    assert "cycle   8 is running: train 3 of 9, loss 0.500, 2.0 rows/s, 1:01 left" in lines
    assert lines[-1] == "next    only when somebody asks: `ratchet cycle run`"


def test_a_version_becomes_a_folder_and_comes_in_again(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out" / "r7"
    files = ["README.md", "adapter_config.json"]
    assert printed(capsys, "adapters", "export", NAME, str(folder)) == {"name": NAME, "folder": str(folder), "files": files}
    assert sorted(path.name for path in folder.iterdir()) == files
    assert told(capsys, "adapters", "import", str(folder))[0] == "r8-2b3c4d5e is candidate"
    assert sorted(desk.files) == files
    assert told(capsys, "adapters", "judge", "r8-2b3c4d5e")[1] == "     train     2.5 s"
    assert desk.asked == [("judge", "r8-2b3c4d5e")]


def test_half_a_folder_is_never_left(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for name, folder, words in (
        ("r9-none", "new", "there is no adapter 'r9-none'"),
        (NAME, "full", "is there already: expected a folder to make, or an empty one"),
    ):
        assert run("adapters", "export", name, str(tmp_path / folder)) == 1
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("ratchet: ") and words in err and err.count("\n") == 1
    assert run("adapters", "import", str(tmp_path / "none")) == 1
    assert "none is not there: expected a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_two_versions_answer_side_by_side(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "adapters", "compare", "base", NAME)["asked"] is None and desk.asked == []
    lines = [" ".join(line.split()) for line in told(capsys, "adapters", "compare", "base", NAME, "--ask", "Why?")]
    assert lines == [f"base -> {NAME}: not worse", "", f"base {NAME}", f"[base] says so [{NAME}] says so"]
    assert desk.asked == [{"versions": ["base", NAME], "messages": [{"role": "user", "content": "Why?"}]}]


def test_a_cycle_goes_on_or_says_why_not(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "cycle", "resume", "7")["cycle"] == CYCLE and desk.asked == [("resume", 7)]
    assert run("cycle", "resume", "8") == 1
    assert capsys.readouterr().err == "ratchet: cycle 8 has nothing to go on from: its evidence is used up\n"


def test_people_are_listed_and_added(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [" ".join(line.split()) for line in told(capsys, "people", "list")]
    assert lines == ["id name since learnt from", "person-1 Ann [bold] 1970-01-01 00:00 yes", "and more: --after person-1"]
    assert told(capsys, "people", "add", "Bob") == ["person-2 Bob", "key (shown this once): rt_secret"]


@pytest.mark.parametrize("words", ["status", "people list", "adapters list", "cycle resume 7", f"adapters export {NAME} x"])
def test_without_a_service_it_is_one_line_that_says_what_to_do(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RATCHET_URL", raising=False)
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    assert run(*words.split()) == 1
    assert capsys.readouterr().err == "ratchet: no service found: start one with `ratchet up`, or set RATCHET_URL and RATCHET_KEY\n"
