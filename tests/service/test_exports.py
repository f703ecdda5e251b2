"""Every layout goes out over HTTP as what it is, and by the command line into a file that says how much is in it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from litestar import Litestar, Router
from litestar.di import Provide

from service import data
from service.errors import respond
from storage.database import Database
from storage.feedback import insert_feedback
from storage.interchange.opinion import Opinion, write_opinion
from storage.interchange.outgoing import ARRAYS, ExportLayout
from tests.service.command_line import Served, audited, printed, run, serve
from tests.storage.loop import furnish, message

RECORDS = {  # of the usual conversation, with an answer that was liked and one that was corrected
    ExportLayout.UNPAIRED: 1,
    ExportLayout.PREFERENCE: 1,
    ExportLayout.MESSAGES: 2,
    ExportLayout.OPENAI_CHATS: 2,
    ExportLayout.OPENAI_PREFERENCE: 1,
    ExportLayout.OPENWEBUI_CHATS: 1,
}


@pytest.fixture
def databases() -> list[Database]:
    """The one of the service, while it runs."""
    return []


@pytest.fixture
def served(tmp_path: Path, databases: list[Database], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        database = await Database.open(tmp_path / "db")
        rows = [
            *write_opinion(message("again", "question"), Opinion("up")),
            *write_opinion(message("second", "follow-up"), Opinion(correction="right")),
        ]
        await database.write(furnish)
        await database.write(lambda connection: insert_feedback(connection, rows))
        databases.append(database)
        try:
            yield
        finally:
            await database.close()

    provided = {
        "actor": Provide(lambda: "operator", sync_to_thread=False),
        "database": Provide(lambda: databases[0], sync_to_thread=False),
        "clock": Provide(lambda: lambda: 5.0, sync_to_thread=False),
    }
    routes = Router("/api", route_handlers=[data.export_data])
    app = Litestar([routes], dependencies=provided, lifespan=[lifespan], exception_handlers={Exception: respond})
    with serve(app) as served:
        monkeypatch.setenv("RATCHET_URL", served.url)
        yield served


@pytest.mark.parametrize("layout", ExportLayout)
def test_a_layout_is_of_its_media_type_and_noted(served: Served, databases: list[Database], layout: ExportLayout) -> None:
    with urllib.request.urlopen(f"{served.url}/api/data/export?layout={layout}", timeout=60) as answer:
        kind, content = answer.headers["content-type"], answer.read()
    records = msgspec.json.decode(content) if layout in ARRAYS else [msgspec.json.decode(line) for line in content.splitlines()]
    assert kind == ("application/json" if layout in ARRAYS else "application/x-ndjson")
    assert len(records) == RECORDS[layout]
    assert audited(served, databases[0]) == [f"data.export {layout}: conversations of people who consent"]


def test_the_command_counts_what_it_wrote(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for layout, records in RECORDS.items():
        file = tmp_path / layout
        said = printed(capsys, "data", "export", "--layout", layout, str(file))
        assert said == {"layout": layout, "file": str(file), "lines": records}
    assert [chat["id"] for chat in json.loads((tmp_path / ExportLayout.OPENWEBUI_CHATS).read_text())] == ["conversation"]
    assert run("data", "export", "--layout", "parquet", "-") == 2
    assert "openai-preference" in capsys.readouterr().err
