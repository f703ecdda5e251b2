"""`ratchet up`: one home, one port, one process, until it is asked to end."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvicorn
from litestar import Litestar

from service.app import create_app
from service.auth import operator_key
from service.chat import Chat
from service.config import ADDRESS_FILE, LAST_STEPS_S, Config, streams_s
from service.lock import InUseError, hold
from storage.archive import DATABASE
from storage.migrate import NewerSchemaError, migrate
from storage.placing import put_back


class UpError(Exception):
    """The service cannot start here; the message says why and what to do."""


def up(home: Path, config: Config, port: int | None) -> None:
    """Serves until SIGINT or SIGTERM. Raises `UpError` for a taken port or a home that is in use."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for library in ("alembic", "apscheduler"):
        logging.getLogger(library).setLevel(logging.WARNING)
    if port is not None:
        config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, port=port))
    try:
        with hold(home):
            put_back(home)  # a restore that was cut off
            _serve(home, config)
    except (InUseError, NewerSchemaError) as error:
        raise UpError(str(error)) from error


def _serve(home: Path, config: Config) -> None:
    listening = _listen(config.server.host, config.server.port)
    migrate(config.storage.url or home / DATABASE)
    operator_key(home)  # who finds the address finds the key
    url = f"http://{config.server.host}:{listening.getsockname()[1]}"
    (home / ADDRESS_FILE).write_text(url)
    threading.Thread(target=_announce, args=(url,), daemon=True).start()
    server = _Server(config, create_app(home, config))
    server.run(sockets=[listening])
    (home / ADDRESS_FILE).unlink(missing_ok=True)
    if not server.started:
        raise UpError("the service could not start; the lines above say why")


class _Server(uvicorn.Server):
    """Takes no more requests and lets streams end, in whatever way, before connections are closed."""

    def __init__(self, config: Config, app: Litestar) -> None:
        super().__init__(
            uvicorn.Config(app, loop="uvloop", log_level="warning", access_log=False, timeout_graceful_shutdown=LAST_STEPS_S)
        )
        self._chat: Callable[[], Chat] = lambda: app.state.parts.chat
        self._streams_s = streams_s(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._chat().drain(self._streams_s)
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UpError(f"cannot listen on {host}:{port} ({error.strerror}): free it, or give another --port (0 for any)") from error
    return listening


def _announce(url: str) -> None:
    """Says where the page is once it is there, and when the model can answer."""
    told = False
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=5):
                print(f"Ready: open {url} and chat", flush=True)
                return
        except urllib.error.HTTPError as error:
            error.close()
            if not told:
                print(f"Ratchet is at {url} (the model is starting)", flush=True)
            told = True
        except OSError:
            pass
        time.sleep(0.2)
