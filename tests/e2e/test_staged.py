"""Versions that are tried on ever more people, on the real engine: who is liked more goes live, who is broken goes back. Long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from learner import rollout
from learner.config import ReleaseSettings
from learner.context import Context
from learner.rollout import Chosen
from learner.train.spec import Probe
from learner.train.stage import Candidate, Trained, publish
from service.bench.random_adapter import SCALE, make_random_adapter
from service.config import Config
from storage import cycles
from storage.records import CycleState, StageName
from tests.adapters import probe
from tests.conftest import Service, run_service

pytestmark = [pytest.mark.engine, pytest.mark.long]
PEOPLE, AT_ONCE = 150, 8
LIMIT_S = 60
RANK = 16
FAINT = 0.02  # of numbers that leave answers as good as they were
STAGED = ReleaseSettings(mode="staged", shares=(0.2, 1 / 3, 1.0), min_people=10, min_stage_s=0, check_every_s=0.2)


@pytest.fixture
def staged(config: Config) -> Config:
    return replace(config, learner=replace(config.learner, release=STAGED))


async def begin(context: Context, folder: Path, told: Probe) -> str:
    """Begins to try an adapter, as a cycle does whose candidate passed the gate."""
    cycle = await context.database.write(lambda c: cycles.insert_cycle(c, "test", "mixed", context.clock()))
    name = await publish(context, cycle, folder, None, "base")
    trained = Trained([Candidate(name, "", RANK, 1.0, 0.5, {}, "")], "base", "base", "base", {name: [told]})

    async def keep(connection: object) -> None:
        await cycles.start_stage(connection, cycle.id, StageName.TRAIN, context.clock())
        await cycles.finish_stage(connection, cycle.id, StageName.TRAIN, context.clock(), msgspec.to_builtins(trained))

    await context.database.write(keep)
    await rollout.begin(context, cycle, Chosen(name, "base", "base", [told], "it passed the gate"))
    ended: dict[str, object] = {"state": CycleState.STAGED, "ended_at_s": context.clock(), "adapter": name}
    await context.database.write(partial(cycles.update_cycle, id=cycle.id, **ended))
    return name


Taste = Callable[[str], bool]  # whether the answers of a version please


def ask(service: Service, person: str, taste: Taste | None, max_tokens: int) -> str:
    """Somebody asks, and votes if they have a taste: the version that answered."""
    answer = service.chat(f"I am {person}. Say yes.", key=person, max_tokens=max_tokens)
    version = str(answer["model"]).removeprefix("ratchet@")
    if taste:
        thumb = "up" if taste(version) else "down"
        status, _ = service.request("POST", "/v1/feedback", {"completion_id": answer["id"], "thumb": thumb}, key=person)
        assert status == 200
    return version


def day(service: Service, taste: Taste | None = None, max_tokens: int = 4) -> dict[str, str]:
    """Everybody asks once: person → version. No answer of so few tokens comes to an end, so no version has more that do not."""
    people = [f"person-{number}" for number in range(PEOPLE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(people, pool.map(lambda person: ask(service, person, taste, max_tokens), people), strict=True))


def trial(service: Service, name: str) -> dict[str, object]:
    """How a version's trial stands, or how it ended."""
    status, said = service.request("GET", "/api/release", key=service.key)
    assert status == 200
    found = [one["canary"] | {"judgement": one["judgement"]} for one in said["trials"]] + said["ended"]
    return dict(next(canary for canary in found if canary["adapter"] == name))


def wait(service: Service, name: str, ready: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    deadline = time.monotonic() + LIMIT_S
    while not ready(canary := trial(service, name)):
        assert time.monotonic() < deadline, canary
        time.sleep(0.1)
    return canary


Try = Callable[[int, float], AbstractContextManager[tuple[Service, str]]]


@pytest.fixture
def tried(home: Path, staged: Config, model_dir: Path, base_adapter: Path, tmp_path: Path) -> Try:
    """A service that tries a version of random weights, by their seed and size, until the end of a block: it and the version."""

    @contextmanager
    def begun(seed: int, scale: float) -> Iterator[tuple[Service, str]]:
        folder = make_random_adapter(model_dir, tmp_path / "new", RANK, seed=seed, scale=scale)
        told = probe(model_dir, base_adapter, folder)
        with run_service(home, staged) as service:
            yield service, service.call(begin(service.parts.context, folder, told))

    return begun


def test_what_people_like_more_is_given_to_ever_more_of_them_and_then_to_all(tried: Try) -> None:
    with tried(31, FAINT) as (service, name):
        few = having(name, day(service))
        assert 0.1 * PEOPLE < len(few) < 0.3 * PEOPLE and trial(service, name)["stage"] == 0
        assert few <= having(name, day(service, lambda version: version == name))  # whoever has it keeps it
        ended = wait(service, name, lambda canary: canary["state"] != "running")
        assert ended["state"] == "promoted" and "share of thumbs up" in str(ended["reason"]), ended
        assert service.live == name and len(having(name, day(service))) == PEOPLE


def test_what_people_dislike_is_taken_back(tried: Try) -> None:
    with tried(32, FAINT) as (service, name):
        assert {*day(service, lambda version: version != name).values()} == {name, "base"}
        assert_taken_back(service, name, "share of thumbs up")


def test_what_does_not_end_is_taken_back_though_nobody_votes(tried: Try) -> None:
    with tried(32, SCALE) as (service, name):
        assert {*day(service, max_tokens=48).values()} == {name, "base"}
        day(service, max_tokens=48)
        assert_taken_back(service, name, "runaway")


def assert_taken_back(service: Service, name: str, reason: str) -> None:
    """It ended by itself, nobody is answered by it, and it returns only with an operator's reason."""
    ended = wait(service, name, lambda canary: canary["state"] != "running")
    assert ended["state"] == "rolled_back" and reason in str(ended["reason"]), ended
    assert service.live == "base" and not having(name, day(service))
    assert service.request("POST", "/api/adapters/rollback", {"to": name}, key=service.key)[0] == 409
    assert service.request("POST", f"/api/adapters/{name}/restore", {"reason": ""}, key=service.key)[0] == 409
    assert service.request("POST", f"/api/adapters/{name}/restore", {"reason": "a test"}, key=service.key)[0] == 200


def having(name: str, answered: dict[str, str]) -> set[str]:
    """Who was answered by this version."""
    return {person for person, version in answered.items() if version == name}
