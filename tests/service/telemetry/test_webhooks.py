"""Programs are told of what happens, signed, once it is kept, and again until they have taken it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from service.telemetry.settings import WebhookSettings
from service.telemetry.webhooks import FIRST_WAIT_S, GIVE_UP_S, Hook, WebhookError, Webhooks
from storage.canaries import end_canary, insert_canary
from storage.cycles import finish_stage, insert_cycle, start_stage, update_cycle
from storage.database import Database
from storage.deliveries import count_waiting
from storage.records import AdapterState, CanaryState, CycleState, StageName
from storage.release import go_live
from tests.service.telemetry.watched import figure, figures, until, watched_service
from tests.storage.loop import furnish_adapters

SECRET = "it stays between us"
DECISION = {"verdict": "reject", "reasons": ["worse on facts"], "suites": {}, "votes": None, "adapter": "r1", "others": {}}


class Receiver:
    """A program that is told: what it took, and the status that it answers with."""

    def __init__(self) -> None:
        self.status, self.now_s, self.down = 200, 100.0, ""
        self.took: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.took.append((headers, await request.read()))
        return web.Response(status=self.status)

    @property
    def events(self) -> list[tuple[str, dict[str, object]]]:
        bodies = [json.loads(body) for _, body in self.took]
        return [(body["type"], body["data"]) for body in bodies]


Tell = Callable[[], Awaitable[None]]
Body = Callable[[Database, Receiver, Tell], Awaitable[None]]


def with_receiver(tmp_path: Path, body: Body, *events: str) -> None:
    """Runs the body with one webhook, a clock of its own, and a way to have it told what there is by now."""

    async def run() -> None:
        receiver, app = Receiver(), web.Application()
        app.router.add_post("/hook", receiver.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        database = await Database.open(tmp_path / "db")
        named = {"events": events} if events else {}
        hook = Hook(WebhookSettings(receiver.url, **named, secret_env="S"), {"S": SECRET})  # type: ignore[arg-type]
        try:
            async with aiohttp.ClientSession() as http:

                async def tell() -> None:
                    """As a service that has just been started: nothing is remembered but what is in the database."""
                    webhooks = Webhooks(database, [hook], lambda: receiver.now_s, lambda: True, lambda: receiver.down)
                    await webhooks.note()
                    await webhooks.deliver(http)

                await body(database, receiver, tell)
        finally:
            await database.close()
            await runner.cleanup()

    asyncio.run(run())


async def judge(connection: AsyncConnection, at_s: float) -> None:
    """A cycle that is refused."""
    cycle = await insert_cycle(connection, "operator", "mixed", at_s)
    await start_stage(connection, cycle.id, StageName.GATE, at_s)
    await finish_stage(connection, cycle.id, StageName.GATE, at_s, DECISION)
    await update_cycle(connection, cycle.id, state=CycleState.REJECTED, ended_at_s=at_s)


def test_a_new_hook_is_told_that_it_works_and_nothing_of_before(tmp_path: Path) -> None:
    async def body(database: Database, receiver: Receiver, tell: Tell) -> None:
        await database.write(lambda c: judge(c, 50.0))
        await tell()
        assert receiver.events == [("ping", {"events": ["verdict", "rollback", "failure"]})]
        await database.write(lambda c: judge(c, 101.0))
        receiver.now_s = 102.0
        await tell()
        await tell()
        told = {"cycle_id": 2, "verdict": "reject", "adapter": "r1", "reasons": ["worse on facts"]}
        assert receiver.events[1:] == [("verdict", told)]

    with_receiver(tmp_path, body)


def test_what_is_posted_is_signed(tmp_path: Path) -> None:
    async def body(database: Database, receiver: Receiver, tell: Tell) -> None:
        await tell()
        headers, posted = receiver.took[0]
        assert headers["webhook-id"] == "ping" and headers["webhook-timestamp"] == "100"
        digest = hmac.new(SECRET.encode(), b"ping.100." + posted, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()

    with_receiver(tmp_path, body)


def test_what_is_not_taken_is_sent_again_later_and_later_even_by_another_service(tmp_path: Path) -> None:
    async def body(database: Database, receiver: Receiver, tell: Tell) -> None:
        receiver.status = 500
        await tell()
        await tell()
        assert len(receiver.took) == 1
        for wait_s in (FIRST_WAIT_S, 2 * FIRST_WAIT_S):
            receiver.now_s += wait_s - 0.1
            await tell()
            receiver.now_s += 0.1
            before = len(receiver.took)
            await tell()
            assert len(receiver.took) == before + 1
        receiver.status = 204
        receiver.now_s += 4 * FIRST_WAIT_S
        await tell()
        assert await database.read(count_waiting) == 0
        assert {headers["webhook-id"] for headers, _ in receiver.took} == {"ping"} and len(receiver.took) == 4

    with_receiver(tmp_path, body)


def test_in_the_end_it_is_given_up(tmp_path: Path) -> None:
    async def body(database: Database, receiver: Receiver, tell: Tell) -> None:
        receiver.status = 410
        await tell()
        receiver.now_s += GIVE_UP_S
        await tell()
        assert await database.read(count_waiting) == 0 and len(receiver.took) == 2

    with_receiver(tmp_path, body)


def test_rollbacks_and_failures_are_told(tmp_path: Path) -> None:
    async def happen(connection: AsyncConnection) -> None:
        await furnish_adapters(connection, "base", "r1", "r2")
        for at_s, name in enumerate(("base", "r1", "base"), 101):
            await go_live(connection, name, "ann", f"{name} it is", float(at_s))
        cycle = await insert_cycle(connection, "operator", "mixed", 104.0)
        await update_cycle(connection, cycle.id, state=CycleState.STAGED, ended_at_s=104.0)
        tried = await insert_canary(connection, "r2", "base", cycle.id, CanaryState.RUNNING, 105.0, "fit")
        await end_canary(connection, tried, CanaryState.ROLLED_BACK, AdapterState.QUARANTINED, "canary", "disliked", 106.0)
        failed = await insert_cycle(connection, "operator", "mixed", 107.0)
        await update_cycle(connection, failed.id, state=CycleState.FAILED, ended_at_s=107.0, reasons=("train: no memory",))

    async def body(database: Database, receiver: Receiver, tell: Tell) -> None:
        await tell()
        await database.write(happen)
        receiver.down, receiver.now_s = "the engine ended with status 1; its log ends:\nTraceback", 110.0
        await tell()
        told = [data for event, data in receiver.events if event == "rollback"]
        assert sorted(told, key=str) == sorted(
            [
                {"from": "r1", "to": "base", "actor": "ann", "reason": "base it is"},
                {"from": "r2", "to": "base", "actor": "", "reason": "disliked"},
            ],
            key=str,
        )
        failures = [data for event, data in receiver.events if event == "failure"]
        assert {"what": "cycle", "cycle_id": 2, "reasons": ["train: no memory"]} in failures
        assert {"what": "engine", "reasons": ["the engine ended with status 1"]} in failures and len(failures) == 2

    with_receiver(tmp_path, body)


def test_a_hook_hears_only_of_what_it_asks_for(tmp_path: Path) -> None:
    async def body(database: Database, receiver: Receiver, tell: Tell) -> None:
        await tell()
        await database.write(lambda c: judge(c, 101.0))
        await tell()
        assert [event for event, _ in receiver.events] == ["ping"]

    with_receiver(tmp_path, body, "failure")


def test_a_secret_has_to_be_there_and_may_be_base64() -> None:
    settings = WebhookSettings("http://127.0.0.1/hook", secret_env="S")
    with pytest.raises(WebhookError, match=r"webhooks\.secret_env is 'S'"):
        Hook(settings, {})
    with pytest.raises(WebhookError, match="no base64"):
        Hook(settings, {"S": "whsec_%%%"})
    encoded = base64.b64encode(SECRET.encode()).decode()
    signed = [Hook(settings, {"S": secret}).headers("id", 1.0, b"{}") for secret in (SECRET, f"whsec_{encoded}")]
    assert signed[0] == signed[1]


def test_a_running_service_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((self.headers["webhook-id"], self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    hook = WebhookSettings(f"http://127.0.0.1:{server.server_port}/", secret_env="HOOK_SECRET")
    try:
        with watched_service(tmp_path, webhooks=(hook,)) as (service, _):
            until(lambda: bool(heard))
            until(lambda: figure(figures(service), "ratchet_webhooks_waiting") == 0)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [id for id, _ in heard] == ["ping"]
