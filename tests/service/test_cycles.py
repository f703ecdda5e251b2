"""`POST /api/cycles` and `ratchet.toml`: a method is one that there is, and goes with the cycle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.di import Provide
from litestar.testing import TestClient

from learner.schedule import Scheduler
from learner.train.methods import METHODS, READS, check_method
from service.api import start_cycle
from service.config import ConfigError, load_config
from service.errors import respond
from storage.records import Cycle, CycleState


class Begins(Scheduler):
    """Says that a cycle begins."""

    def __init__(self) -> None: ...

    async def run_now(self, trigger: str, method: str | None = None, corpus: str = "", actor: str = "") -> Cycle:
        check_method(method or "mixed")
        return Cycle(1, trigger, method or "mixed", CycleState.RUNNING, 1.0, corpus=corpus)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    parts = {"scheduler": Begins, "actor": lambda: "operator"}
    provided = {name: Provide(part, sync_to_thread=False) for name, part in parts.items()}
    app = Litestar([start_cycle], dependencies=provided, exception_handlers={Exception: respond})
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_without_a_body_a_cycle_is_as_the_settings_say(client: TestClient[Litestar], headers: dict[str, str]) -> None:
    answer = client.post("/cycles", headers=headers)
    assert answer.status_code == 202
    assert (answer.json()["method"], answer.json()["corpus"], answer.json()["trigger"]) == ("mixed", "", "operator")


def test_a_cycle_may_be_of_another_method_and_one_corpus(client: TestClient[Litestar]) -> None:
    begun = client.post("/cycles", json={"method": "cpt", "corpus": "novels"}).json()
    assert (begun["method"], begun["corpus"]) == ("cpt", "novels")
    assert client.post("/cycles", json={}).json()["method"] == "mixed"


def test_a_method_that_there_is_not_is_refused_by_name_with_those_that_there_are(client: TestClient[Litestar]) -> None:
    answer = client.post("/cycles", json={"method": "magic"})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "method"
    assert answer.json()["error"]["message"] == f"there is no method 'magic'; expected one of {', '.join(sorted(METHODS))}"
    assert client.post("/cycles", json={"methods": "cpt"}).status_code == 400


def test_a_home_whose_method_there_is_not_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "ratchet.toml"
    file.write_text('[learner.train]\nmethod = "magic"\n')
    with pytest.raises(ConfigError, match=r"ratchet\.toml: learner\.train\.method: there is no method 'magic'; expected one of "):
        load_config(tmp_path)
    file.write_text('[learner.train]\nmethod = "kto"\n')
    assert load_config(tmp_path).learner.train.method == "kto"


def test_it_is_known_of_every_method_what_it_reads() -> None:
    assert READS.keys() == METHODS.keys()
