"""The command line, and a service of a few routes for it to talk to."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
import uvicorn
from litestar import Litestar

from service.cli import main
from service.listen import serving
from storage.audit import select_audit
from storage.database import Database

T = TypeVar("T")
LIMIT_S = 60


def run(*arguments: str) -> int:
    """The command's exit status."""
    try:
        main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The document that the command prints for programs."""
    run(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


class Served:
    """A service in a thread of its own."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.url, self._loop = url, loop

    def call(self, work: Awaitable[T]) -> T:
        """Awaits something in the service's own loop."""
        return asyncio.run_coroutine_threadsafe(_await(work), self._loop).result(LIMIT_S)


async def _await(work: Awaitable[T]) -> T:
    return await work


@contextmanager
def serve(app: Litestar) -> Iterator[Served]:
    """The application, at a free port, until the end of the block."""
    loops: list[asyncio.AbstractEventLoop] = []
    app.on_startup.append(lambda: loops.append(asyncio.get_running_loop()))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(serving(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            deadline = time.monotonic() + LIMIT_S
            while not server.started:
                assert thread.is_alive() and time.monotonic() < deadline, "the service did not start"
                time.sleep(0.02)
            yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", loops[0])
        finally:
            server.should_exit = True
            thread.join()


def audited(served: Served, database: Database) -> list[str]:
    """What was done there, oldest first."""
    entries = served.call(database.read(lambda connection: select_audit(connection, 20)))
    return [f"{one.action} {one.subject}: {one.detail}" for one in reversed(entries)]
