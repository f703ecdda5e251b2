"""What the whole test run shares: one engine on the built-in model, and services that use it.

The engine is started once, on first use. A service under test runs in this process, in a thread with a loop of its own,
on a free port, in a home of its own; `call` runs a coroutine where its parts live.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import uvicorn
from hypothesis import HealthCheck, settings
from msgspec.structs import replace

from learner.adapter import make_zero_adapter
from learner.model import BUILTIN, ensure_model
from service import app
from service.app import Parts, create_app
from service.assets import load_assets
from service.config import Config, models_dir
from service.home_key import operator_key
from service.listen import listen
from service.settings import EngineSettings
from service.supervisor import Supervisor
from tests.databases import KINDS, Place, fresh_postgresql, postgresql_server

T = TypeVar("T")
CHECKOUT = Path(__file__).parents[1]
SHARED_DATA = CHECKOUT.parent / "shared" / "data"
ENGINE_START_S = 300
CALL_S = 600

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no claim is about speed
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--adapter", help="the version to test; the live one where unset")
    parser.addoption("--against", default="base", help="the version it is compared with")


def pytest_configure() -> None:
    """Workers share the cores out: threads of an engine that wait for each other stand still where others are on their cores."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        cores, workers = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(0, cores[int(worker.removeprefix("gw")) :: workers] or cores)


@pytest.hookimpl(tryfirst=True)  # before what reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares the engine runs on one worker; all else by files, those first that start an engine of their own."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("engine" if shares_engine(item) else item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: (shares_engine(item), item.get_closest_marker("engine") is not None), reverse=True)


def shares_engine(item: pytest.Item) -> bool:
    """Also where a test asks for it only as it runs; unless it is said to start its own."""
    marked = item.get_closest_marker("engine")
    return "engine_url" in getattr(item, "fixturenames", ()) or (marked is not None and not marked.kwargs.get("own"))


class Service:
    """A running service and the way to it."""

    def __init__(self, url: str, home: Path, key: str, parts: Callable[[], Parts], loop: asyncio.AbstractEventLoop) -> None:
        self.url, self.home, self.key, self._parts, self._loop = url, home, key, parts, loop

    @property
    def parts(self) -> Parts:
        return self._parts()

    @property
    def live(self) -> str:
        """The version that people get, by what the service says."""
        return str(self.request("GET", "/api/status", key=self.key)[1]["live"])

    def call(self, work: Awaitable[T]) -> T:
        """Awaits something in the service's own loop."""
        return asyncio.run_coroutine_threadsafe(_await(work), self._loop).result(CALL_S)

    def request(self, method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, Any]:
        """One HTTP call: (status, decoded answer). `body` is sent as it is when it is bytes."""
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {key or 'tester'}", "Content-Type": "application/json"}
        asked = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=CALL_S) as response:
                return response.status, msgspec.json.decode(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, msgspec.json.decode(error.read())

    def chat(self, text: str, key: str | None = None, **options: object) -> Any:
        """A plain answer to one message."""
        body = {"model": "ratchet", "messages": [{"role": "user", "content": text}], "max_tokens": 24, **options}
        status, answer = self.request("POST", "/v1/chat/completions", body, key)
        assert status == 200, answer
        return answer


async def _await(work: Awaitable[T]) -> T:
    return await work


@pytest.fixture(scope="session", autouse=True)
def assets() -> Iterator[None]:
    """A run has hundreds of services, and compressing their pages' files takes a tenth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "load_assets", cache(load_assets))
        yield


@pytest.fixture(scope="session")
def model_dir() -> Path:
    return ensure_model(BUILTIN, models_dir(), print)


@pytest.fixture(scope="session")
def base_adapter(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zero adapter that all homes of the run share, as the shared engine knows it by one path."""
    folder = tmp_path_factory.mktemp("base") / "base"
    make_zero_adapter(model_dir, folder, 16)
    return folder.resolve()


@pytest.fixture(scope="session")
def engine_url(model_dir: Path, base_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the one real engine."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def adapters() -> list[tuple[str, Path]]:
        return [("base", base_adapter)]

    def wait(work: Coroutine[Any, Any, T], limit_s: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(limit_s)

    supervisor = Supervisor(EngineSettings(max_cpu_loras=16), model_dir, tmp_path_factory.mktemp("engine"), adapters)
    try:
        wait(supervisor.start(), ENGINE_START_S)
        wait(supervisor.wait_ready(ENGINE_START_S), ENGINE_START_S + 10)
        yield supervisor.url
    finally:
        wait(supervisor.stop(), 60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def prepare_home(home: Path, base_adapter: Path) -> None:
    """A new home whose base is the shared one."""
    adapters = home / "artifacts" / "adapters"
    adapters.mkdir(parents=True, exist_ok=True)
    if not (adapters / "base").exists():
        (adapters / "base").symlink_to(base_adapter)


@contextmanager
def run_service(home: Path, config: Config) -> Iterator[Service]:
    """A service in this process until the end of the block; everything it started is gone after that."""
    app = create_app(home, config)
    loops: list[asyncio.AbstractEventLoop] = []
    app.on_startup.append(lambda: loops.append(asyncio.get_running_loop()))
    listening = listen(replace(config.server, port=0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        wait_ready(url, alive=thread.is_alive)
        yield Service(url, home, operator_key(home), lambda: app.state.parts, loops[0])
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def wait_ready(url: str, limit_s: float = ENGINE_START_S, alive: Callable[[], bool] = lambda: True) -> None:
    """Returns once the service at `url` is ready to answer; there is nothing to wait for where it is not `alive`."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and alive():
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{url} was not ready within {limit_s} s")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of the run's PostgreSQL server, started on first use."""
    # Not below pytest's own folder: the server runs as another user where we are root, and each new run locks that folder.
    with tempfile.TemporaryDirectory(prefix="ratchet-postgresql-") as folder, postgresql_server(Path(folder)) as url:
        yield url


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A new database of each kind in turn."""
    if request.param == "sqlite":
        yield tmp_path / "db"
        return
    with fresh_postgresql(request.getfixturevalue("postgresql")) as url:
        yield url


@pytest.fixture(params=KINDS)
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database of each kind in turn, without a table."""
    if request.param == "sqlite":
        yield tmp_path / "db"
        return
    with fresh_postgresql(request.getfixturevalue("postgresql"), template="template0") as url:
        yield url


@pytest.fixture
def storage_url() -> str | None:
    """Where the services under test keep their records: in their homes, where a folder's tests do not say otherwise."""
    return None


@pytest.fixture
def config(engine_url: str, storage_url: str | None) -> Config:
    config = config_of(engine_url)
    return replace(config, storage=replace(config.storage, url=storage_url))


def config_of(engine_url: str) -> Config:
    """A service's settings for tests: an engine, answers that end soon, no cycle by itself, a clock that can be moved."""
    return msgspec.toml.decode(
        f"""
        clock = "injected"
        [server]
        max_answer_tokens = 160
        answers_per_person = 64
        [engine]
        urls = ["{engine_url}"]
        [learner.schedule]
        enabled = false
        [learner.curate.trust]  # people of tests come at once and speak alike
        new_person_wait_s = 0
        claim_people = 1
        crowd_people = 1000
        burst_chance = 0
        """,
        type=Config,
    )


@pytest.fixture
def home(tmp_path: Path, base_adapter: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    prepare_home(folder, base_adapter)
    yield folder
    shutil.rmtree(folder / "artifacts", ignore_errors=True)


@pytest.fixture
def service(home: Path, config: Config) -> Iterator[Service]:
    with run_service(home, config) as running:
        yield running
