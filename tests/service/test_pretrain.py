"""`ratchet pretrain` by the command line and over HTTP. No engine is needed: what is served does not change by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Router, post
from litestar.di import Provide
from litestar.params import JSONBody

from learner.config import LearnerSettings, TrainSettings
from learner.context import Context
from learner.model import model_sha256
from learner.pretrain.pretrainer import Pretrainer
from learner.pretrain.spec import FOLDERS, METRICS, MODELS, read_lineage
from learner.tokens import Tokens
from service import pretrain
from service.cli import main
from service.client import Client, ClientError
from service.errors import respond
from service.problem import Problem
from storage.artifacts import Artifacts
from storage.database import Database
from storage.documents import insert_documents
from storage.records import Document, DocumentKind
from tests.learner.test_pretrain import tale
from tests.service.command_line import Served, audited, serve

SHAPE = "layers = 1\nhidden = 32\nheads = 1\nkv_heads = 1\nintermediate = 64\nvocabulary = 320\npositions = 64\n"
OPTIONS = ("--passes", "2", "--window-tokens", "24", "--batch-windows", "4", "--learning-rate", "0.02", "--heldout-share", "0.2")


class Desk:
    """A service that pretrains, and nothing else."""

    def __init__(self, home: Path, served: Served, database: Database) -> None:
        self.home, self._served, self._database = home, served, database

    def audited(self) -> list[str]:
        return audited(self._served, self._database)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    home = tmp_path / "home"
    home.mkdir()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        database = await Database.open(home / "ratchet.db")
        settings = LearnerSettings(train=TrainSettings(precision="float32", threads=1))
        nothing: Any = None
        context = Context(home, database, Artifacts(home), nothing, Tokens(home), home, settings, lambda: 9.0, *[nothing] * 2)
        told = [f"{tale(number)} That was story {number}, and it was told twice." for number in range(60)]
        rows = [
            Document(f"doc-{number}", DocumentKind.CORPUS, "tales", "en", "a book", "CC0-1.0", None, text, 1.0)
            for number, text in enumerate([*told, "no " * 400])
        ]
        await database.write(lambda connection: insert_documents(connection, rows))
        app.state.database, app.state.pretrainer = database, Pretrainer(context)
        yield
        await app.state.pretrainer.stop()
        await database.close()

    parts: dict[str, Any] = {"database": lambda: app.state.database, "pretrainer": lambda: app.state.pretrainer}
    parts |= {"clock": lambda: lambda: 5.0, "actor": lambda: "operator"}
    app = Litestar(
        [Router("/api", route_handlers=[*pretrain.HANDLERS, refuse_cycle])],
        lifespan=[lifespan],
        dependencies={name: Provide(part, sync_to_thread=False) for name, part in parts.items()},
        exception_handlers={Exception: respond},
    )
    with serve(app) as served:
        monkeypatch.setenv("RATCHET_URL", served.url)
        monkeypatch.setenv("RATCHET_KEY", "key")
        yield Desk(home, served, app.state.database)


@post("/cycles")
async def refuse_cycle(data: JSONBody[dict[str, str]]) -> None:
    """Says what it was asked for."""
    raise Problem("conflict", f"{data['method']} on {data['corpus']}")


def test_a_corpus_becomes_a_model_of_its_own_with_its_lineage(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = tmp_path / "shape.toml"
    shape.write_text(SHAPE)
    main(["pretrain", "--corpus", "a book", "--scratch", str(shape), "--name", "mine", *OPTIONS])
    said = capsys.readouterr().out.splitlines()
    model_dir = desk.home / MODELS / "mine"
    lineage = read_lineage(model_dir)
    assert lineage is not None and lineage.sha256 == model_sha256(model_dir)
    assert lineage.perplexity_before and lineage.perplexity_after and lineage.perplexity_after < lineage.perplexity_before / 2
    assert (lineage.origin.corpus, lineage.origin.licences, lineage.origin.documents) == ("a book", ("CC0-1.0",), 60)
    assert lineage.origin.dropped == {"repeats itself": 1} and lineage.tokens_seen == 2 * lineage.tokens > 0
    assert said[0].startswith("mine: ") and said[-1].startswith(f'To serve it: model = "{model_dir}"')
    assert {path.name for path in (desk.home / FOLDERS / "mine").iterdir()} == {METRICS, "job.log", "report.json"}
    assert desk.audited() == ["pretrain.begin mine: a new model on corpus a book"]

    with pytest.raises(SystemExit, match="1"):
        main(["pretrain", "--corpus", "a book", "--scratch", str(shape), "--name", "mine", *OPTIONS])
    assert "there is a model 'mine' already" in capsys.readouterr().err


def test_what_cannot_be_asked_is_refused_with_one_clear_line(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*arguments: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main(["pretrain", *arguments])
        return ended.value.code, capsys.readouterr().err.splitlines()[-1]

    shape = tmp_path / "shape.toml"
    for text, words in (("layers = 0", "$.layers"), ("depth = 3", "expected any of layers, hidden"), ("layers", "shape.toml: ")):
        shape.write_text(text)
        status, said = fails("--corpus", "tales", "--scratch", str(shape))
        assert status == 1 and words in said, said
    for arguments, status, words in (
        (("--corpus", "tales", "--scratch", str(tmp_path / "missing")), 1, "missing cannot be read"),
        (("--corpus", "nowhere", "--scratch", str(shape), "--passes", "0"), 1, "shape.toml"),
        (("--corpus", "tales", "--full", "--passes", "0"), 1, "passes"),
        (("--corpus", "tales", "--full", "--name", "../up"), 1, "name is '../up', expected"),
        (("--corpus", "nowhere", "--full"), 1, "there is no corpus 'nowhere'"),
        (("--cancel",), 1, "no pretraining is running"),
        (("--corpus", "tales", "--passes", "2"), 2, "--passes: only with --full or --scratch"),
        (("--full",), 2, "--corpus"),
    ):
        assert (found := fails(*arguments))[0] == status and words in found[1], (arguments, found)
    assert not (desk.home / MODELS).exists()


def test_without_a_new_model_it_is_a_cycle_of_method_cpt_on_that_corpus(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["pretrain", "--corpus", "tales", "--json"])
    assert capsys.readouterr().err == "ratchet: cpt on tales\n"


def test_how_one_went_is_there_for_programs(desk: Desk) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["pretrain", "--corpus", "nowhere", "--full", "--json"])
    with Client() as client:
        [report] = client.get("/api/pretrain")
        assert report == client.get("/api/pretrain/nowhere-full")
        assert report["state"] == "failed" and report["request"]["scratch"] is None
        with pytest.raises(ClientError, match="there is no pretraining 'other'"):
            client.get("/api/pretrain/other")
