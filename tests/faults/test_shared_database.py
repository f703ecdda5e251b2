"""Two services on one PostgreSQL: one schedules, both answer with the same version, and either may end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from learner import release
from learner.schedule import LEASE
from service.bench.random_adapter import make_random_adapter
from service.config import Config
from storage import leases
from tests.adapters import published
from tests.conftest import Service, prepare_home, run_service
from tests.databases import fresh_postgresql

pytestmark = pytest.mark.engine
LEASE_S = 6.0  # it is renewed in time on a busy machine too
NEVER_S = 3600
PATIENCE_S = 40


@pytest.fixture
def shared(config: Config, postgresql: str, tmp_path: Path) -> Iterator[Config]:
    """Settings of services that share a database and a store of artifacts."""
    with fresh_postgresql(postgresql) as url:
        storage = {"url": url, "lease_s": LEASE_S, "artifacts": f"file://{tmp_path}/store"}
        yield msgspec.structs.replace(config, storage=msgspec.structs.replace(config.storage, **storage))


def start(stack: ExitStack, tmp_path: Path, name: str, config: Config, base_adapter: Path) -> Service:
    prepare_home(tmp_path / name, base_adapter)
    return stack.enter_context(run_service(tmp_path / name, config))


def candidate(tmp_path: Path, shared: Config, model_dir: Path, base_adapter: Path) -> str:
    """Brings a version into the shared database by a service that does not look for cycles to run, as this one is no real one."""
    never = msgspec.structs.replace(shared, storage=msgspec.structs.replace(shared.storage, lease_s=NEVER_S))
    with ExitStack() as stack:
        maker = start(stack, tmp_path, "maker", never, base_adapter)
        return maker.call(published(maker.parts.context, make_random_adapter(model_dir, tmp_path / "new", 16, seed=21)))


def holder(service: Service) -> str:
    lease = service.call(service.parts.database.read(lambda connection: leases.select_lease(connection, LEASE)))
    return lease.holder if lease else ""


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def test_two_services_are_one_to_people(shared: Config, model_dir: Path, base_adapter: Path, tmp_path: Path) -> None:
    name = candidate(tmp_path, shared, model_dir, base_adapter)
    with ExitStack() as stack:
        first = start(stack, tmp_path, "first", shared, base_adapter)
        eventually(lambda: holder(first) != "")
        leader = holder(first)
        with ExitStack() as inner:
            second = start(inner, tmp_path, "second", shared, base_adapter)

            # What one of them makes live is live at the other, and so is the way back.
            context = first.parts.context
            first.call(release.load(context, name))
            first.call(release.go_live(context, name, "test", "shared"))
            eventually(lambda: second.parts.router.live == name)
            answer = second.chat("Hello")
            assert answer["model"] == f"ratchet@{name}"

            # A person has one history, whichever service they meet.
            status, _ = first.request("POST", "/v1/feedback", {"completion_id": answer["id"], "thumb": "up"})
            assert status == 200
            status, moved = second.request("POST", "/api/adapters/rollback", key=second.key)
            assert (status, moved["adapter"]) == (200, "base")
            eventually(lambda: first.parts.router.live == "base")

            # A cycle asked for at the one that does not schedule is run by the one that does, and never twice.
            assert holder(second) == leader
            status, begun = second.request("POST", "/api/cycles", key=second.key)
            assert status == 202
            eventually(lambda: ended(second, begun["id"]))

        # The other one goes on alone; and when the scheduling one ends, the next takes over.
        assert first.chat("Hello")["model"] == "ratchet@base"
        second = start(stack, tmp_path, "second", shared, base_adapter)
        first.call(first.parts.scheduler.stop())
        eventually(lambda: holder(second) not in ("", leader))


def ended(service: Service, cycle_id: int) -> bool:
    _, report = service.request("GET", f"/api/cycles/{cycle_id}", key=service.key)
    return bool(report["cycle"]["state"] != "running")
