"""A service for a benchmark: its home with versions to go live, and two ways to run it, here or in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import uvicorn
from sqlalchemy.ext.asyncio import AsyncConnection

from learner import setup
from learner.adapter import BASE
from learner.model import model_sha256
from service.app import Parts, create_app
from service.bench.heard import ask_body, hear
from service.bench.random_adapter import make_random_adapter
from service.config import ADDRESS_FILE, Config, ServerSettings
from service.listen import listen, serving
from service.steady import keep_steady
from service.warden import kill_group
from storage import adapters, release
from storage.archive import DATABASE
from storage.artifacts import Artifacts
from storage.database import Database
from storage.records import Adapter, AdapterState

START_LIMIT_S = 600.0  # of a service with its engine, and of an engine that was killed
POLL_S = 0.05
ENDING_S = 30.0  # from asking a service to end to killing it
ACTOR = "bench"


class ServedError(Exception):
    """The service does not do what a measurement needs; the message says what it did."""


async def make_home(home: Path, model_dir: Path, versions: int, rank: int, were_live: bool = False) -> list[str]:
    """Fills a new home: base is live, beside so many random versions, whose names it gives.

    Those that `were_live` before may be gone back to over HTTP; the others can only be put live from inside.
    """
    artifacts, now_s = Artifacts(home), time.time()
    database = await Database.open(home / DATABASE)
    try:
        await setup.ensure_live(database, artifacts, model_dir, rank, time.time)
        names = []
        for seed in range(versions):
            adapter = await asyncio.to_thread(_publish, artifacts, model_dir, rank, seed, now_s)
            await database.write(partial(adapters.insert_adapter, adapter=adapter))
            names.append(adapter.name)
        for name in [*names, BASE] if were_live else []:
            await database.write(partial(_put_live, name=name, now_s=now_s))
        return names
    finally:
        await database.close()


def _publish(artifacts: Artifacts, model_dir: Path, rank: int, seed: int, now_s: float) -> Adapter:
    made = make_random_adapter(model_dir, artifacts.temporary_dir() / "made", rank, seed)
    sha256 = artifacts.sha256_of(made)
    name = f"r0-{sha256[:8]}"
    folder = artifacts.adapter_dir(name)
    artifacts.publish(made, folder)
    path, base_sha256 = str(folder.relative_to(artifacts.home)), model_sha256(model_dir)
    return Adapter(name, BASE, None, None, sha256, path, AdapterState.CANDIDATE, now_s, base_sha256)


async def _put_live(connection: AsyncConnection, name: str, now_s: float) -> None:
    await release.go_live(connection, name, ACTOR, "it has been live once", now_s)


@asynccontextmanager
async def serve_here(home: Path, config: Config) -> AsyncIterator[tuple[str, Parts]]:
    """A service in this event loop on a free port, ready to answer: its address and its parts. Raises `ServedError`."""
    app = create_app(home, config)
    listening = listen(ServerSettings(port=0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(serving(app))
    running = asyncio.create_task(server.serve([listening]))
    try:
        await wait_ready(url, running.done)
        keep_steady()
        yield url, app.state.parts
    finally:
        server.should_exit = True
        await running
        listening.close()


@asynccontextmanager
async def serve_apart(home: Path) -> AsyncIterator[tuple[str, int]]:
    """`ratchet up` in a process of its own, ready to answer: its address and its pid. Its log is in the home.

    Raises `ServedError` where it does not start, or had to be killed at its end.
    """
    command = [sys.executable, "-m", "service.cli", "up", "--home", str(home), "--port", "0"]
    log, address = home / "service.log", home / ADDRESS_FILE
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not address.is_file() and process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        if not address.is_file():
            lines = log.read_text(errors="replace").strip().splitlines()
            raise ServedError(f"the service did not start: {lines[-1] if lines else 'it said nothing'}")
        url = address.read_text().strip()
        await wait_ready(url, lambda: process.poll() is not None)
        yield url, process.pid
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServedError(f"the service did not end within {ENDING_S:g} s") from None


async def wait_ready(url: str, ended: Callable[[], bool] = lambda: False) -> None:
    """Returns once the service says that it is ready. Raises `ServedError` when it ends, or takes `START_LIMIT_S`."""
    deadline = time.monotonic() + START_LIMIT_S
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < deadline:
            if ended():
                raise ServedError("the service ended before it was ready")
            try:
                async with http.get(f"{url}/health/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(POLL_S)
    raise ServedError(f"the service at {url} was not ready within {START_LIMIT_S:g} s")


async def measure_restart(http: aiohttp.ClientSession, url: str, home: Path) -> float:
    """Kills the engine of a home; gives the seconds until somebody who asks again and again is answered by the next.

    Raises `ServedError` where there is no engine to kill, or none comes back.
    """
    began = time.perf_counter()
    if not kill_group(home / "engine" / "engine.pid"):
        raise ServedError(f"there is no engine of its own below {home}")
    while time.perf_counter() - began < START_LIMIT_S:
        heard = await hear(http, url, "who-waits", ask_body("Is anybody there?", 1, store=False))
        if heard.whole and heard.asked_at > began:
            return heard.frames_at[0] - began
        await asyncio.sleep(POLL_S)
    raise ServedError(f"nobody was answered within {START_LIMIT_S:g} s of the engine's end; the last was told: {heard.error}")
