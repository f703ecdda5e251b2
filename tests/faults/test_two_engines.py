"""Two real engines behind one service: a swap reaches both, and one that is killed is not missed until it is whole again.

`test_cluster.py` has the same of small engines in each run; this is

    ./deploy/test -m long tests/faults/test_two_engines.py
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from openai import APIError, OpenAI

from learner import release
from learner.admission import MAX_ROUNDING
from service.bench.random_adapter import make_random_adapter
from service.config import Config
from service.settings import EngineSettings
from service.supervisor import Supervisor
from tests.adapters import TEXT, probe, published
from tests.conftest import ENGINE_START_S, Service, run_service

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1200)]
STREAMS = 12
LONG_ANSWER, SHORT_ANSWER = 160, 12  # tokens
BEGUN = 20  # model steps after which streams are being written: one that has said nothing yet goes to the other engine instead
SETTINGS = EngineSettings(max_model_len=1024, kv_cache_bytes=2**28)


@pytest.fixture
def engines(model_dir: Path, base_adapter: Path, tmp_path: Path) -> Iterator[list[Supervisor]]:
    """Two engines on a core each, that somebody else keeps running and gives nothing but base."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def adapters() -> list[tuple[str, Path]]:
        return [("base", base_adapter)]

    async def start() -> list[Supervisor]:
        cores = sorted(os.sched_getaffinity(0))
        made = []
        for number, core in enumerate((cores[0], cores[-1])):
            settings = msgspec.structs.replace(SETTINGS, threads=str(core))
            made.append(Supervisor(settings, model_dir, tmp_path / f"engine-{number}", adapters))
            await made[-1].start()
        await asyncio.gather(*(one.wait_ready(ENGINE_START_S) for one in made))
        return made

    async def stop() -> None:
        await asyncio.gather(*(one.stop() for one in supervisors))

    supervisors: list[Supervisor] = []
    try:
        supervisors += asyncio.run_coroutine_threadsafe(start(), loop).result(ENGINE_START_S + 10)
        yield supervisors
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def service(engines: list[Supervisor], home: Path) -> Iterator[Service]:
    config = msgspec.toml.decode(
        f"""
        [server]
        max_answer_tokens = {LONG_ANSWER}
        answers_per_person = 64
        [engine]
        urls = {msgspec.json.encode([engine.url for engine in engines]).decode()}
        max_model_len = {SETTINGS.max_model_len}
        watch_interval_s = 0.2
        [learner.schedule]
        enabled = false
        """,
        type=Config,
    )
    with run_service(home, config) as running:
        yield running


def wait_for(condition: Callable[[], bool], what: str, limit_s: float = ENGINE_START_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


class Crowd:
    """People who ask at once, each of something else."""

    def __init__(self, service: Service) -> None:
        self._client = OpenAI(base_url=f"{service.url}/v1", api_key="crowd", max_retries=0)
        self._pool = ThreadPoolExecutor(STREAMS)

    def ask(self, max_tokens: int) -> list[Future[list[str]]]:
        """The models that each answer's chunks name, once it has ended."""
        return [self._pool.submit(self._stream, number, max_tokens) for number in range(STREAMS)]

    def _stream(self, number: int, max_tokens: int) -> list[str]:
        said = [{"role": "user", "content": f"Tell me the long story of the number {number}."}]
        chunks = self._client.chat.completions.create(model="ratchet", messages=said, max_tokens=max_tokens, stream=True)
        return [chunk.model for chunk in chunks]

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()


@pytest.fixture
def crowd(service: Service) -> Iterator[Crowd]:
    crowd = Crowd(service)
    yield crowd
    crowd.close()


def test_two_engines_serve_as_one_through_a_swap_and_the_death_of_either(
    engines: list[Supervisor], service: Service, crowd: Crowd, model_dir: Path, base_adapter: Path, tmp_path: Path
) -> None:
    pool, context = service.parts.engine, service.parts.context
    wait_for(lambda: len(pool.urls) == 2, "both engines in the pool")

    before = steps(service)
    assert answered_by(crowd.ask(SHORT_ANSWER)) == {"ratchet@base"}
    assert all(now > then for then, now in zip(before, steps(service), strict=True)), "an engine had nothing to do"

    made = make_random_adapter(model_dir, tmp_path / "new", 16, seed=3)
    name = service.call(published(context, made))
    running = crowd.ask(LONG_ANSWER)
    service.call(release.load(context, name))
    service.call(release.prove(context, name, [probe(model_dir, base_adapter, made)]))
    service.call(release.go_live(context, name, "test", "swap"))
    assert answered_by(running) == {"ratchet@base"}
    assert answered_by(crowd.ask(SHORT_ANSWER)) == {f"ratchet@{name}"}
    assert_alike(service, name)

    before, running = steps(service), crowd.ask(LONG_ANSWER)
    wait_for(lambda: all(now > then + BEGUN for then, now in zip(before, steps(service), strict=True)), "words of both engines")
    victim, other = engines
    assert victim.pid is not None
    os.killpg(victim.pid, signal.SIGKILL)
    broken = [answer for answer in running if isinstance(answer.exception(), APIError)]
    assert 0 < len(broken) < STREAMS and all(answer in broken or answer.result() for answer in running)
    wait_for(lambda: pool.urls == [other.url], "the killed engine out of the pool", limit_s=30)
    assert answered_by(crowd.ask(SHORT_ANSWER)) == {f"ratchet@{name}"}, "the other engine answers meanwhile"
    assert service.request("GET", "/health/ready")[0] == 200

    wait_for(lambda: len(pool.urls) == 2, "the killed engine back")
    assert victim.restarts == 1
    assert_alike(service, name)
    assert answered_by(crowd.ask(SHORT_ANSWER)) == {f"ratchet@{name}"}


def steps(service: Service) -> list[int]:
    """The model steps that each engine has taken."""
    return [service.call(member.engine.progress()).steps for member in service.parts.engine.members]


def answered_by(answers: list[Future[list[str]]]) -> set[str]:
    """The versions that wrote the answers, each of which is by one."""
    named = [set(answer.result()) for answer in answers]
    assert all(len(one) == 1 for one in named), f"an answer names two versions: {named}"
    return set.union(*named)


def assert_alike(service: Service, name: str) -> None:
    """Both engines serve the version, and it is not base."""
    one, other = service.call(service.parts.engine.score_each(name, TEXT, priority=0)).values()
    base = service.call(service.parts.engine.score("base", TEXT, priority=0))
    assert mean_distance(one, other) <= MAX_ROUNDING < mean_distance(one, base)


def mean_distance(ones: list[float], others: list[float]) -> float:
    return sum(abs(a - b) for a, b in zip(ones, others, strict=True)) / len(ones)
