"""Operators see suites, add their own, and compare versions on them, over HTTP and by the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import msgspec
import pytest
from litestar import Litestar, Router
from litestar.di import Provide
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import make_zero_adapter
from learner.context import Context
from learner.evaluate.judged import CALIBRATION, Calibration, keep_calibration, read_calibration
from learner.evaluate.suite import FROZEN, OWN, Header, Item, Turn, add_suite, load_suites
from service import suites
from service.client import Client, ClientError
from service.errors import respond
from storage import adapters, evaluations
from storage.documents import insert_documents
from storage.records import Adapter, AdapterState, Document, DocumentKind
from tests.learner.judging import finds, scripted_judge
from tests.learner.tiny import RANK, save_model
from tests.learner.world import learner
from tests.service.command_line import printed, run, serve

ITEMS = [
    Item(f"own-{n}", f"own-{n}", "tests", "odd" if n % 2 else "even", (Turn("user", f"Is {n} odd?"),), ("yes", "no"), 1 - n % 2)
    for n in range(40)
]
TEXTS = [Item(f"text-{n}", f"text-{n}", "tests", text=f"There are {n} boats.") for n in range(4)]
PAIRS = [
    Document(
        f"pair-{n}", DocumentKind.PREFERENCE, "chat", "en", "tests", "none", None,
        {"prompt": [{"role": "user", "content": f"Why {n}?"}], "chosen": f"a good reason {n}", "rejected": "none"}, 1.0,
    )
    for n in range(3)
]  # fmt: skip
VERSIONS = {"base": (0.5, 30), "better": (0.75, 33), "worse": (0.5, 10)}  # a fact's score, and how many of `ITEMS` are right


async def add_version(connection: AsyncConnection, context: Context, name: str) -> None:
    """A version of base's weights, with a name and a hash of its own."""
    folder = context.artifacts.adapter_dir(name)
    shutil.copytree(context.artifacts.adapter_dir("base"), folder)
    (folder / "mark").write_text(name)
    path, sha256 = str(folder.relative_to(context.home)), context.artifacts.sha256_of(folder)
    await adapters.insert_adapter(connection, Adapter(name, "base", None, None, sha256, path, AdapterState.CANDIDATE, 2.0))


async def add_scores(connection: AsyncConnection, context: Context, version: str, fact: float, right: int) -> None:
    """The same for every fact and nearly so for every text; so many of the operator's items right, the first ones."""
    answers = {item.id: float(n < right) for n, item in enumerate(ITEMS)}
    for suite in context.suites():
        values = {item.id: fact for item in suite.items} if suite.name == "facts" else answers
        if suite.name == "texts":
            values = {item.id: -fact - n / 100 for n, item in enumerate(suite.items)}
        await evaluations.insert_evaluation(connection, None, version, suite.name, suite.sha256, values, 3.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Context, str]]:
    """A service of these routes and its address: base, a better and a worse version, all scored; and one that was not."""
    place, contexts = tmp_path_factory.mktemp("served"), list[Context]()
    model_dir, base, home = save_model(place / "model", seed=1), place / "base", place / "home"
    make_zero_adapter(model_dir, base, RANK)
    home.mkdir()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with learner(home, model_dir, base) as context:
            context.settings = msgspec.structs.replace(context.settings, suites=str(place / "shipped"))
            add_suite(place / "shipped", "facts", Header("of facts", "choice", 1, 0.1, veto=True), ITEMS[:8])
            add_suite(place / "shipped", "texts", Header("of words", "text", 1, 0.1, veto=False), TEXTS)
            add_suite(home / OWN, "own", Header("of numbers", "choice", 1, 0.1, veto=False), ITEMS)
            add_suite(home / OWN, "hint", Header("the same", "choice", 1, 0.1, veto=False, advisory=True), ITEMS)

            async def fill(connection: AsyncConnection) -> None:
                for version in ("better", "worse", "new"):
                    await add_version(connection, context, version)
                await insert_documents(connection, PAIRS)
                for version, (fact, right) in VERSIONS.items():
                    await add_scores(connection, context, version, fact, right)

            await context.database.write(fill)
            contexts.append(context)
            yield

    provided = {
        "actor": Provide(lambda: "operator", sync_to_thread=False),
        "context": Provide(lambda: contexts[0], sync_to_thread=False),
        "clock": Provide(lambda: contexts[0].clock, sync_to_thread=False),
    }
    routes = Router("/api", route_handlers=suites.HANDLERS)
    app = Litestar([routes], dependencies=provided, lifespan=[lifespan], exception_handlers={Exception: respond})
    with serve(app) as running:
        yield contexts[0], running.url


@pytest.fixture
def context(served: tuple[Context, str], monkeypatch: pytest.MonkeyPatch) -> Context:
    """The command line beside that service."""
    context, url = served
    monkeypatch.setenv("RATCHET_URL", url)
    monkeypatch.setenv("RATCHET_HOME", str(context.home))
    return context


def test_a_version_that_is_scored_is_shown_at_once(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    scored = printed(capsys, "eval", "run")
    assert scored["adapter"] == "base"
    means = {one["name"]: one["mean"] for one in scored["suites"]}
    assert means == pytest.approx({"facts": 0.5, "hint": 0.75, "own": 0.75, "texts": -0.515})
    assert run("eval", "run", "better", "--suite", "own") == 0
    assert capsys.readouterr().out.splitlines() == ["better", "  own                  choice      40 items  0.8250"]


@pytest.mark.parametrize(
    ("a", "b", "status"), [("base", "base", 0), ("base", "better", 0), ("base", "worse", 1), ("better", "base", 2)]
)
def test_the_exit_status_is_the_verdict(context: Context, a: str, b: str, status: int) -> None:
    assert run("eval", "compare", a, b, "--suite", "own") == status


def test_a_comparison_names_the_items_that_turned(context: Context, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    assert run("eval", "compare", "base", "worse", "--junit", str(report)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "base -> worse: worse"
    assert [line.split()[0] for line in lines if line[:3].strip()][1:] == ["facts", "hint", "own", "texts"]
    assert "      own-10                   1.000 -> 0.000  even" in lines and len([line for line in lines if "own-" in line]) == 40
    root = Xml.parse(report).getroot()
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "0", "1"]
    [hint, own] = [case for case in root if len(case)]
    assert (hint.get("name"), hint[0].tag, own.get("name"), own[0].tag) == ("hint", "skipped", "own", "failure")
    assert "own-10: 1.0000 -> 0.0000" in str(own[0].text)


def test_an_advisory_suite_is_shown_and_decides_nothing(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "eval", "compare", "base", "worse", "--suite", "hint", "--suite", "facts")
    verdicts = {one["finding"]["name"]: one["finding"]["verdict"] for one in found["suites"]}
    assert verdicts == {"facts": "promote", "hint": "reject"} and found["verdict"] == "promote"
    assert printed(capsys, "eval", "compare", "base", "worse", "--suite", "hint")["verdict"] == "inconclusive"


def test_what_was_not_scored_is_inconclusive_and_what_cannot_be_is_told(context: Context) -> None:
    with Client() as client:
        found = client.get("/api/suites/compare?a=base&b=new&suite=own")
        assert found["verdict"] == "inconclusive"
        assert found["suites"][0]["finding"]["comparison"] is None and found["suites"][0]["moves"] == []
        with pytest.raises(ClientError, match="the suites could not be scored"):  # no engine is there
            client.post("/api/suites/run", {"adapter": "new"})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "nobody"), "there is no adapter 'nobody'"),
        (("compare", "base", "nobody"), "there is no adapter 'nobody'"),
        (("run", "base", "--suite", "poetry"), "there is no suite 'poetry'; expected some of facts, hint, own, texts"),
        (("compare", "base", "base", "--junit", "/nowhere/x.xml"), "/nowhere/x.xml cannot be written"),
    ],
)
def test_what_is_not_there_is_named(
    context: Context, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    assert run("eval", *arguments) == 1
    assert told in capsys.readouterr().err


def test_suites_are_listed_with_where_they_lie(context: Context) -> None:
    with Client() as client:
        cards = {card["name"]: card for card in client.get("/api/suites")}
        assert list(cards) == ["facts", "hint", "own", "texts"]
        assert cards["hint"]["advisory"] and cards["hint"]["items"] == 40
        assert cards["hint"]["folder"] == str(context.home / OWN / "hint")
        file = context.home / OWN / "hint" / "items.jsonl"
        whole = file.read_bytes()
        file.write_bytes(b"")
        try:
            with pytest.raises(ClientError, match="suite 'hint' has changed since it was frozen"):
                client.get("/api/suites")
        finally:
            file.write_bytes(whole)


def test_a_judge_is_asked_about_what_people_preferred(
    context: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("eval", "calibrate") == 1 and "no judge is set; expected learner.judge" in capsys.readouterr().err
    assert run("eval", "calibrate", "--limit", "0") == 1 and "limit" in capsys.readouterr().err
    with scripted_judge(finds("good")) as judge:
        monkeypatch.setattr(context, "settings", msgspec.structs.replace(context.settings, judge=judge.settings()))
        assert run("eval", "calibrate", "--limit", "2") == 0
        told = f"judge-1 at {judge.url[7:]}: agrees with people on 2 of 2 pairs, lower bound 0.425; 0 ties beside them"
        assert capsys.readouterr().out.splitlines() == [told]
        judge.refusals = [401]
        assert run("eval", "calibrate") == 1 and "refuses with HTTP 401" in capsys.readouterr().err
        assert read_calibration(context.home) is not None
    (context.home / CALIBRATION).unlink()


def test_a_judged_suite_is_listed_with_what_its_judge_counts_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"Tell me of {n} owls."}) + "\n" for n in range(9)))
    made = printed(capsys, "eval", "import", str(rows), "--name", "owls", "--kind", "judged", "--no-advisory")
    assert (made["kind"], made["items"]) == ("judged", 9)

    def owls() -> dict[str, Any]:
        return next(card for card in printed(capsys, "eval", "suites") if card["name"] == "owls")

    assert owls()["note"] == "no judge is set (learner.judge): skipped" and owls()["sha256"] == made["sha256"]
    (tmp_path / "ratchet.toml").write_text('[learner.judge]\nurl = "http://127.0.0.1:9/v1"\nmodel = "judge-1"\n')
    assert owls()["advisory"] and owls()["note"] == "the judge 'judge-1' is not calibrated: reported only"
    keep_calibration(tmp_path, Calibration("judge-1", "there", pairs=60, agreed=55, ties=2, bound=0.83, created_at_s=1.0))
    assert not owls()["advisory"] and "agreed with people on 55 of 60 pairs, bound 0.83" in owls()["note"]


def test_a_file_becomes_a_suite_beside_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"question": f"{n} + 1?", "answer": n + 1}) + "\n" for n in range(9)))
    made = printed(capsys, "eval", "import", str(rows), "--name", "sums", "--limit", "5", "--language", "ru")
    assert (made["kind"], made["items"], made["folder"]) == ("rules", 5, str(tmp_path / OWN / "sums"))
    listed = {card["name"]: card for card in printed(capsys, "eval", "suites")}
    assert set(listed) == {"sums", *(suite.name for suite in load_suites(FROZEN))}
    assert listed["sums"]["advisory"] and listed["sums"]["sha256"] == made["sha256"] and listed["sums"]["language"] == "ru"
    assert run("eval", "import", str(rows), "--name", "strict", "--veto", "--margin", "0.01") == 0
    assert run("eval", "suites") == 0
    assert any(line.startswith("strict ") and " veto " in line for line in capsys.readouterr().out.splitlines())

    with (tmp_path / OWN / "sums" / "items.jsonl").open("a") as stream:
        stream.write(json.dumps({"id": "x", "family": "x", "source": "x", "prompt": [], "rules": []}) + "\n")
    assert run("eval", "freeze") == 1 and "item 'x' lacks a prompt, which kind 'rules' needs" in capsys.readouterr().err
    assert run("eval", "suites") == 1 and "suite 'sums' has changed" in capsys.readouterr().err
    items = tmp_path / OWN / "sums" / "items.jsonl"
    items.write_bytes(b"".join(items.read_bytes().splitlines(keepends=True)[:-1]))
    header = tmp_path / OWN / "sums" / "suite.toml"
    header.write_text(header.read_text().replace("version = 1", "version = 2"))
    assert set(printed(capsys, "eval", "freeze")) == {"strict", "sums"} and run("eval", "suites") == 0


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("import", "rows.jsonl"), 2, "a file needs --name NAME"),
        (("import", "rows.jsonl", "--name", "x"), 1, "rows.jsonl cannot be used (No such file or directory)"),
        (("import", "facts", "--lm-eval", "nowhere"), 1, "nowhere has no task 'facts'; expected YAML files of tasks there"),
        (("import", "rows.jsonl", "--name", "x", "--limit", "0"), 2, "limit is 0; expected 1 or more"),
        (("import", "facts", "--lm-eval", ".", "--kind", "even"), 2, "a task says itself of which kind it is"),
        (("freeze",), 1, "suites cannot be used (No such file or directory)"),
    ],
)
def test_misuse_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    told: str,
) -> None:
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run("eval", *arguments) == status
    assert told in capsys.readouterr().err
    assert not (tmp_path / OWN).exists()
