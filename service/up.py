"""`ratchet up`: one home, one port, one process, until it is asked to end."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import psutil
import uvicorn
from litestar import Litestar

from learner.model import ensure_model
from service.app import create_app
from service.chat import Chat
from service.config import ADDRESS_FILE, OPERATOR_KEY_FILE, Config, ServerSettings, models_dir, streams_s
from service.health import Readiness
from service.home_key import HomeKeyError, is_new, operator_key
from service.listen import listen, serving
from service.lock import InUseError, hold
from service.starting import Stages
from service.steady import keep_steady
from service.telemetry.logs import start_log
from storage.archive import DATABASE
from storage.migrate import NewerSchemaError, migrate
from storage.placing import put_back


class UpError(Exception):
    """The service cannot start here; the message says why and what to do."""


def up(home: Path, config: Config, port: int | None) -> None:
    """Serves until SIGINT or SIGTERM. Raises `UpError` for a taken port or a home that is in use, `ModelError` for the model."""
    stages = Stages()
    stages.begin("settings and imports", ago_s=time.time() - psutil.Process().create_time())
    stages.begin("database and its migration")
    start_log(config.log)
    if port is not None:
        config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, port=port))
    try:
        with hold(home):
            put_back(home)  # a restore that was cut off
            _serve(home, config, stages)
    except (InUseError, NewerSchemaError, HomeKeyError) as error:
        raise UpError(str(error)) from error


def _serve(home: Path, config: Config, stages: Stages) -> None:
    listening = _listen(config.server)
    migrate(config.storage.url or home / DATABASE)
    stages.begin("model")
    ensure_model(config.model, models_dir(), partial(print, flush=True))  # here, where somebody sees what it has to say
    stages.begin("service")
    tell_key(home)  # who finds the address finds the key
    url = f"http://{config.server.host}:{listening.getsockname()[1]}"
    (home / ADDRESS_FILE).write_text(url)
    threading.Thread(target=_announce, args=(url, stages), daemon=True).start()
    app = create_app(home, config)
    app.on_startup.append(stages.done)  # the stages of the engine's start go on from here
    server = _Server(config, app)
    server.run(sockets=[listening])
    (home / ADDRESS_FILE).unlink(missing_ok=True)
    if not server.started:
        raise UpError("the service could not start; the lines above say why")


def tell_key(home: Path) -> None:
    """Makes the key of a home that has none, and shows it this once."""
    fresh, key = is_new(home), operator_key(home)
    if fresh:
        print(f"Admin key, shown this once (it is kept in {home / OPERATOR_KEY_FILE}): {key}", flush=True)


class _Server(uvicorn.Server):
    """Takes no more requests and lets streams end, in whatever way, before connections are closed."""

    def __init__(self, config: Config, app: Litestar) -> None:
        super().__init__(serving(app))
        self._chat: Callable[[], Chat] = lambda: app.state.parts.chat
        self._streams_s = streams_s(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._chat().drain(self._streams_s)
        await super().shutdown(sockets)


def _listen(server: ServerSettings) -> socket.socket:
    try:
        return listen(server)
    except OSError as error:
        where = f"{server.host}:{server.port}"
        raise UpError(f"cannot listen on {where} ({error.strerror}): free it, or give another --port (0 for any)") from error


def _announce(url: str, stages: Stages) -> None:
    """Says where the page is once it is there, and when the model can answer, with what the time went to; from then on it does."""
    told = False
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as response:
                engine = msgspec.json.decode(response.read(), type=Readiness)
                keep_steady()
                print(*_times(stages.took_s | engine.took_s), f"Ready: open {url} and chat", sep="\n", flush=True)
                return
        except urllib.error.HTTPError as error:
            error.close()
            if not told:
                print(f"Ratchet is at {url} (the model is starting)", flush=True)
            told = True
        except OSError:
            pass
        time.sleep(0.2)


def _times(took_s: dict[str, float]) -> list[str]:
    """A line for each stage of the start, and one for all of it."""
    lines = [*took_s.items(), ("in all, to the first answer", sum(took_s.values()))]
    return [f"{seconds:7.1f} s  {stage}" for stage, seconds in lines]
