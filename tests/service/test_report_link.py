"""A link to a report opens it without a key, for a while, and opens nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.testing import TestClient

from learner.context import Context
from service import report_link
from service.errors import respond
from service.report_link import GOOD_S
from storage import cycles
from tests.learner.world import learner


def test_a_link_opens_one_report_for_a_while(tmp_path: Path, tiny: tuple[Path, Path]) -> None:
    contexts, now = list[Context](), [1000.0]
    (tmp_path / "home").mkdir()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with learner(tmp_path / "home", *tiny) as context:
            for _ in range(2):
                await context.database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", 1.0))
            contexts.append(context)
            yield

    provided = {
        "context": Provide(lambda: contexts[0], sync_to_thread=False),
        "clock": Provide(lambda: lambda: now[0], sync_to_thread=False),
    }
    app = Litestar(
        [Router("/api", route_handlers=report_link.HANDLERS), *report_link.PAGES],
        dependencies=provided,
        lifespan=[lifespan],
        exception_handlers={Exception: respond},
    )
    with TestClient(app) as client:
        assert client.post("/api/cycles/9/report/link").status_code == 404
        link = client.post("/api/cycles/1/report/link").json()
        assert link["until_s"] == 1000 + GOOD_S
        page = client.get(link["path"])
        assert page.status_code == 200 and "Cycle 1" in page.text
        assert "script-src" not in page.headers["content-security-policy"] and page.headers["cache-control"] == "no-store"
        for other in (link["path"].replace("/reports/1", "/reports/2"), link["path"].replace("1600", "9999"), link["path"] + "0"):
            assert client.get(other).status_code == 403
        now[0] += GOOD_S + 1
        assert client.get(link["path"]).status_code == 403
