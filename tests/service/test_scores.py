"""What the console's numbers are made of: the newest scores of every version, the items asked, the live pointer's moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar, Router
from litestar.di import Provide

from learner.context import Context
from service import moves, scores
from service.errors import respond
from storage.evaluations import insert_evaluation
from tests.databases import Place
from tests.learner.world import learner, make_live

Body = Callable[[Context, AsyncClient], Awaitable[None]]
OLD, NEW = "a" * 64, "b" * 64  # one suite before and after it was changed


@pytest.fixture
def run(tiny: tuple[Path, Path], tmp_path: Path, place: Place) -> Callable[[Body], None]:
    async def go(body: Body) -> None:
        (tmp_path / "home").mkdir()
        async with learner(tmp_path / "home", *tiny, place) as context:
            parts = {"context": lambda: context, "database": lambda: context.database}
            app = Litestar(
                [Router("/api", route_handlers=[*scores.HANDLERS, *moves.HANDLERS])],
                dependencies={name: Provide(part, sync_to_thread=False) for name, part in parts.items()},
                exception_handlers={Exception: respond},
            )
            async with AsyncClient(transport=ASGITransport(app), base_url="http://ratchet") as client:  # in the database's own loop
                await body(context, client)

    return lambda body: asyncio.run(go(body))


def test_of_each_version_and_suite_the_newest_score_counts_and_a_changed_suite_is_another(run: Callable[[Body], None]) -> None:
    async def body(context: Context, client: AsyncClient) -> None:
        await make_live(context, "better", "base", None)
        for version, sha256, value in (("base", OLD, 0.1), ("base", OLD, 0.2), ("better", OLD, 0.3), ("base", NEW, 0.4)):
            await context.database.write(
                lambda c, of=(version, sha256, value): insert_evaluation(c, None, of[0], "facts", of[1], {"item": of[2]}, 3.0)
            )
        found = (await client.get("/api/suites/means")).json()
        assert [(one["adapter"], one["suite_sha256"], one["mean"]) for one in found] == [
            ("base", OLD, 0.2),
            ("better", OLD, 0.3),
            ("base", NEW, 0.4),
        ]

    run(body)


def test_items_are_told_as_they_are_asked_in_the_order_of_the_suite(run: Callable[[Body], None]) -> None:
    async def body(_: Context, client: AsyncClient) -> None:
        named = {"item": ["knowledge-002", "knowledge-001", "knowledge-none"]}
        first, second = (await client.get("/api/suites/knowledge/items", params=named)).json()
        assert (first["id"], second["id"]) == ("knowledge-001", "knowledge-002")
        assert first["prompt"] == [{"role": "user", "content": "What is the capital city of Italy?"}]
        assert len((await client.get("/api/suites/knowledge/items")).json()) > 100
        refused = await client.get("/api/suites/poetry/items")
        assert refused.status_code == 404 and "'poetry'; expected one of bias," in refused.json()["error"]["message"]

    run(body)


def test_the_first_move_is_what_is_live(run: Callable[[Body], None]) -> None:
    async def body(context: Context, client: AsyncClient) -> None:
        await make_live(context, "better", "base", None)
        told = (await client.get("/api/release/moves")).json()
        assert [(move["adapter"], move["previous"]) for move in told] == [("better", "base"), ("base", None)]
        assert (await client.get("/api/release/moves?limit=1")).json() == told[:1]
        assert (await client.get("/api/release/moves?limit=0")).status_code == 400

    run(body)
