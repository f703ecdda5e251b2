"""Operators get reports and the matrix over HTTP and by the command line."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from litestar import Litestar, Router
from litestar.di import Provide
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import make_zero_adapter
from learner.context import Context
from learner.report.write import write_report
from service import reports
from service.cli import main
from service.errors import respond
from storage import canaries
from storage.records import AdapterState, CanaryState, CanaryStep
from tests.learner.ended import two_cycles
from tests.learner.tiny import RANK, save_model
from tests.learner.world import Talker, learner
from tests.service.command_line import Served, serve


async def tried(connection: AsyncConnection) -> None:
    """The second cycle's candidate was tried by people before it went live."""
    running, name = CanaryState.RUNNING, "r2-00000002"
    canary = await canaries.insert_canary(connection, name, "r1-00000001", 2, running, 3600.0, "fit")
    known: dict[str, object] = {
        "step": "promote",
        "reasons": [],
        "votes": {"delta": 0.1, "lower": -0.04, "upper": 0.3},
        "people": 12,
    }
    await canaries.insert_step(connection, CanaryStep(0, canary.id, 9000.0, "promote", 1, 0.25, "canary", "no loss", known))
    promoted = CanaryState.PROMOTED, AdapterState.LIVE
    await canaries.end_canary(connection, canary, *promoted, "canary", "no loss", 9000.0)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A service of these routes, where two cycles have ended; the second has its report."""
    model_dir, base, contexts = save_model(tmp_path / "model", seed=1), tmp_path / "base", list[Context]()
    make_zero_adapter(model_dir, base, RANK)
    (tmp_path / "home").mkdir()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with learner(tmp_path / "home", model_dir, base) as context:
            people = [Talker() for _ in range(4)]
            for person in people:
                await context.database.write(person.talk)
            _, second = await two_cycles(context, people)
            await context.database.write(tried)
            await write_report(context, second)
            contexts.append(context)
            yield

    provided = {"context": Provide(lambda: contexts[0], sync_to_thread=False)}
    routes = Router("/api", route_handlers=reports.HANDLERS)
    app = Litestar([routes], dependencies=provided, lifespan=[lifespan], exception_handlers={Exception: respond})
    with serve(app) as served:
        yield served


@pytest.fixture
def operator(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line beside it."""
    monkeypatch.setenv("RATCHET_URL", served.url)


def test_reports_and_the_matrix_are_printed(operator: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    main(["cycle", "report", "2", "--html", str(page)])
    lines = capsys.readouterr().out
    for said in (
        "cycle 2 by operator, mixed: promoted r2-00000002",
        "    16 thumb rows, heldout",
        "     1 left out: cap",
        "  r2-00000002 by the settings as they are: promote, loss 0.7000",
        "  held-out votes +0.1000 -> +0.4000, bound +0.0500",
        "  liked: -0.2500 ± 0.0000 on 8 votes",
        "  r2-00000002 passed the gate: it is better on the votes,",
        "  facts                  0.6000 -> 0.5900  -0.0100, bound -0.0150 of -0.0200  1 won, 2 lost",
        "train 2.5 s",
        "Then it went live: no loss.",
        "  tried against r1-00000001: promoted, with 25% of the people",
        "       1.5 h at 25%: promote by canary, 12 people, votes +0.100 from -0.040 to +0.300",
    ):
        assert said in lines, lines
    assert page.read_text().startswith("<!doctype html>") and "<svg" in page.read_text()

    main(["cycle", "report", "2", "--json"])
    assert json.loads(capsys.readouterr().out)["cycle"]["adapter"] == "r2-00000002"

    main(["cycle", "transfer"])
    table = capsys.readouterr().out
    for said in ("r2-00000002", "+0.500", "8 votes", "backward transfer: -0.5000 (of 1)"):
        assert said in table, table
    main(["cycle", "transfer", "--json"])
    assert json.loads(capsys.readouterr().out)["slices"] == [1, 2]


def test_the_page_is_in_the_language_that_is_asked_for_or_else_the_readers(served: Served) -> None:
    def page(query: str = "", accepted: str = "") -> tuple[int, str, str]:
        request = urllib.request.Request(f"{served.url}/api/cycles/2/report.html{query}", headers={"Accept-Language": accepted})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert "script-src" not in answer.headers["content-security-policy"]
                return answer.status, answer.headers["content-language"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, "", error.read().decode()

    assert page()[1:] == page("?lang=en", "ru")[1:]
    status, language, text = page(accepted="ru-RU,ru;q=0.9,en;q=0.8")
    assert (status, language) == (200, "ru") and "Цикл 2: " in text and page("?lang=ru", "en") == (status, language, text)
    status, _, text = page("?lang=xx")
    assert status == 400 and "lang is 'xx', expected one of en, ru" in text


def test_what_is_not_there_is_told_in_one_line(operator: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, told in (
        (["cycle", "report", "9"], "ratchet: there is no cycle 9\n"),
        (
            ["cycle", "report", "2", "--html", str(tmp_path / "nowhere" / "x.html")],
            f"ratchet: {tmp_path}/nowhere/x.html cannot be written (No such file",
        ),
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 1
        assert capsys.readouterr().err.startswith(told)
