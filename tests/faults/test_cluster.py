"""All of it at once: two services on one PostgreSQL and one S3 store, two engines, training on two nodes of Ray.

While people chat and vote at either service, a cycle runs; the service that runs it is killed in the middle of training, and an
engine is killed while the candidate is judged. Nothing that was acknowledged is lost, and there is exactly one promotion.
The short form has engines of a tiny model; the whole one is

    ./deploy/test -m long tests/faults/test_cluster.py
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import create_engine, text

from service.annotated import annotate
from service.client import Client, ClientError
from service.config import Config
from tests.conftest import CHECKOUT, ENGINE_START_S, prepare_home, wait_ready
from tests.databases import fresh_postgresql
from tests.faults.killable import Killable
from tests.faults.talkers import AT_ONCE, SMALL, question, quick_learner, spare_anchors, thumb
from tests.suites import make_suites

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "ratchet[ray]"')

PEOPLE, TURNS_EACH, BYSTANDERS = 24, 3, 2  # so many that both those who teach and those who judge are enough, whoever is which
LIMIT_S = 600  # of a cycle, or of anything else that is waited for
BUCKET = "ratchet-cluster"
S3 = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
EngineCommand = Callable[[int, int], list[str]]  # of an engine by its number and port
STORY = ["collect", "curate", "train", "evaluate", "gate", "release"]


class EngineProcess:
    """An engine that is somebody else's to the services, with all of its processes."""

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self.url, self._command, self._log = f"http://127.0.0.1:{port}", command, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=CHECKOUT, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def models(self) -> set[str]:
        with urllib.request.urlopen(f"{self.url}/v1/models", timeout=10) as response:
            return {model["id"] for model in msgspec.json.decode(response.read())["data"]}


@dataclass
class Cluster:
    services: list[Killable]
    engines: list[EngineProcess]
    database: str

    def select(self, statement: str) -> list[tuple[Any, ...]]:
        engine = create_engine(self.database)
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(text(statement))]
        engine.dispose()
        return rows


@dataclass
class People:
    """They ask whichever service answers, as a load balancer would have them do, and remember what was acknowledged."""

    services: Sequence[Killable]
    answers: set[str] = field(default_factory=set)
    votes: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)

    def join(self, count: int) -> None:
        for _ in range(count):
            self.keys.append(self._ask("/api/people", {"name": f"p{len(self.keys)}"})["key"])

    def talk(self, person: int, turn: int) -> None:
        """Asks in words of their own, and votes."""
        asked = question(person, turn, TURNS_EACH)
        body = {"messages": [{"role": "user", "content": asked}], "max_tokens": 64, "stop": ["\n", "."], "seed": person * 10 + turn}
        answer = self._ask("/v1/chat/completions", body, self.keys[person])
        self.answers.add(answer["id"])
        vote = {"completion_id": answer["id"], "thumb": thumb(answer["choices"][0]["message"]["content"])}
        self._ask("/v1/feedback", vote, self.keys[person])
        self.votes.add(answer["id"])

    def talk_all(self, person: int) -> None:
        for turn in range(TURNS_EACH):
            self.talk(person, turn)

    def _ask(self, path: str, body: object, key: str | None = None) -> Any:
        deadline = time.monotonic() + LIMIT_S
        while True:
            service = random.choice(self.services)
            client = Client(home=service.home)
            try:
                with client:
                    return Client(client.url, key, service.home).post(path, body)
            except ClientError:
                assert time.monotonic() < deadline, f"no service answers {path}"
                time.sleep(0.2)


@contextmanager
def talking(people: People, persons: Sequence[int]) -> Iterator[None]:
    """Inside, these people go on and on."""
    ended, failures = threading.Event(), list[BaseException]()

    def go_on(person: int) -> None:
        turn = 0
        try:
            while not ended.wait(1.0):
                people.talk(person, turn)
                turn += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=go_on, args=(person,)) for person in persons]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_S} s: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """A bucket of an S3 server, which the services find by the environment."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**S3, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            environment.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
    server.stop()


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """A Ray cluster of two nodes of one CPU each: only together they have room for a job of two workers."""
    from ray.cluster_utils import Cluster as RayCluster

    node = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 100_000_000, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("PYTHONPATH", str(CHECKOUT))
        nodes = RayCluster(initialize_head=True, head_node_args=node)
        nodes.add_node(**node)
        yield str(nodes.address)
        nodes.shutdown()


@contextmanager
def cluster(folder: Path, settings: dict[str, Any], command: EngineCommand, prepare: Callable[[Path], None]) -> Iterator[Cluster]:
    """Two engines by their command, and two services with these settings before them, ready; all are gone after the block."""
    with ExitStack() as stack:
        engines = []
        for number in range(2):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            engines.append(EngineProcess(command(number, port), port, folder / f"engine-{number}.log"))
            engines[-1].start()
            stack.callback(engines[-1].kill)
        settings["engine"] |= {"urls": [engine.url for engine in engines], "watch_interval_s": 0.2}
        services = []
        for number in range(2):
            home = folder / f"home-{number}"
            home.mkdir()
            prepare(home)
            spare_anchors(home)
            (home / "ratchet.toml").write_text(annotate(msgspec.convert(settings, Config)))
            services.append(Killable(home))
            services[-1].start()
            stack.callback(services[-1].stop)
        for service in services:
            wait_ready(Client(home=service.home).url, ENGINE_START_S)
        yield Cluster(services, engines, settings["storage"]["url"])


def settings_of(database: str, store: str, ray_address: str, learner: dict[str, Any]) -> dict[str, Any]:
    jobs = {"runner": "ray", "workers": 2, "ray_address": ray_address, "ray_shared": True}
    return {
        "server": {"answers_per_person": 64},
        "engine": {},
        "storage": {"url": database, "artifacts": store, "lease_s": 5.0},
        "learner": learner | {"jobs": jobs},
    }


def live_through(cluster: Cluster) -> None:
    people = People(cluster.services)
    people.join(PEOPLE + BYSTANDERS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(people.talk_all, range(PEOPLE)))
    with talking(people, range(PEOPLE, PEOPLE + BYSTANDERS)):
        begun = Client(home=cluster.services[0].home).post("/api/cycles")["id"]
        ended = run_with_deaths(cluster, begun)
        adapter = str(ended["cycle"]["adapter"])
        assert ended["cycle"]["state"] == "promoted", ended["cycle"]["reasons"]
        assert [stage["name"] for stage in ended["stages"]] == STORY

        # What was killed comes back, as whoever runs it sees to, and is like the others.
        for service in cluster.services:
            if not service.is_alive():
                service.start()
        cluster.engines[0].start()
        operators = [Client(home=service.home) for service in cluster.services]
        for operator in operators:
            wait_ready(operator.url)
        eventually(lambda: {*map(served, operators)} == {(adapter, 2)}, "both services with both engines")
    assert all(adapter in engine.models() for engine in cluster.engines)

    assert cluster.select("SELECT adapter FROM release ORDER BY id") == [("base",), (adapter,)]
    assert cluster.select("SELECT name FROM adapters WHERE state = 'live'") == [(adapter,)]
    assert people.answers <= {id for (id,) in cluster.select("SELECT id FROM messages WHERE status = 'complete'")}
    assert people.votes <= {id for (id,) in cluster.select("SELECT message_id FROM feedback")}
    stored = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert any(f"artifacts/adapters/{adapter}/" in thing["Key"] for thing in stored)


def run_with_deaths(cluster: Cluster, cycle_id: int) -> Any:
    """The cycle as it ended, though the service that ran it was killed as it trained, and an engine as the other one judged."""

    def report(service: Killable) -> Any:
        return Client(home=service.home).get(f"/api/cycles/{cycle_id}")

    def trains(service: Killable) -> bool:
        return (service.home / "cycles" / str(cycle_id) / "train" / "rank0.log").exists()

    def judges(service: Killable) -> bool:
        return report(service)["stages"][-1]["name"] in STORY[3:]

    def ended(service: Killable) -> bool:
        return bool(report(service)["cycle"]["state"] != "running")

    eventually(lambda: any(map(trains, cluster.services)) or ended(cluster.services[0]), "training on Ray")
    leader, other = sorted(cluster.services, key=trains, reverse=True)
    leader.kill()
    eventually(lambda: judges(other) or ended(other), "the other service to go on with the cycle")
    cluster.engines[0].kill()
    eventually(lambda: ended(other), "the end of the cycle")
    return report(other)


def served(operator: Client) -> tuple[str, int]:
    """What is live at a service, and how many engines it has ready."""
    engines = operator.get("/api/engine")["engines"]
    return operator.get("/api/status")["live"], sum(engine["state"] == "ready" for engine in engines)


def test_a_cycle_through_all_of_it_outlives_a_service_and_an_engine(
    postgresql: str, store: str, ray_address: str, small_model: Path, tmp_path: Path
) -> None:
    with fresh_postgresql(postgresql) as database:
        learner = quick_learner(make_suites(tmp_path / "suites"), **SMALL)
        settings = settings_of(database, f"{store}/short", ray_address, learner) | {"model": str(small_model)}

        def command(number: int, port: int) -> list[str]:
            return [sys.executable, "-m", "tests.faults.tiny_engine", str(small_model), str(port)]

        with cluster(tmp_path, settings, command, lambda home: None) as running:
            live_through(running)


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.timeout(3600)
def test_a_cycle_through_real_engines_outlives_a_service_and_an_engine(
    postgresql: str, store: str, ray_address: str, base_adapter: Path, tmp_path: Path
) -> None:
    cores = sorted(os.sched_getaffinity(0))
    with fresh_postgresql(postgresql) as database:
        learner = quick_learner(make_suites(tmp_path / "suites"), learning_rate=4e-4, passes=2)
        settings = settings_of(database, f"{store}/long", ray_address, learner)
        settings["engine"] = {"max_model_len": 1024, "kv_cache_bytes": 2**28}

        def command(number: int, port: int) -> list[str]:
            home = tmp_path / f"engine-{number}"
            home.mkdir()
            own = {"engine": {"max_model_len": 1024, "kv_cache_bytes": 2**28, "threads": str(cores[-number])}}
            (home / "ratchet.toml").write_text(annotate(msgspec.convert(own, Config)))
            return [sys.executable, "-m", "service.cli", "engine", "--home", str(home), "--port", str(port)]

        with cluster(tmp_path, settings, command, lambda home: prepare_home(home, base_adapter)) as running:
            live_through(running)
