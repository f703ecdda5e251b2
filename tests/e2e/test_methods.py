"""Every way of learning, asked for over HTTP, on the real engine and the built-in model: each cycle makes what it should. Long."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from service.client import Client
from service.config import Config
from tests.conftest import Service, run_service
from tests.faults.talkers import settle
from tests.suites import make_suites

pytestmark = [pytest.mark.engine, pytest.mark.long]
PEOPLE, TURNS_EACH = 12, 2
LIMIT_S = 900
ABOUT = {"source": "a book", "domain": "harbours", "licence": "CC0-1.0", "language": "en"}
TOWNS = {
    "Aveiro": "Salt was loaded here for the cod fleets of the north, and painted boats still carry seaweed through its canals.",
    "Bergen": "Merchants kept dried fish in its narrow wooden houses; rain falls on two days of three, mostly from the west.",
    "Cork": "Butter left from the quays in firkins, bound for the islands of the Caribbean, and came back as sugar and rum.",
    "Durban": "A sandbar closed the mouth of the bay to large ships until engineers dredged a channel past the bluff.",
    "Esbjerg": "The dock was dug out of an empty coast when a war had taken the older ports, and soon sent bacon to England.",
    "Fremantle": "Limestone was blasted from the river's mouth, so that mail steamers need no longer anchor in the open roads.",
    "Genoa": "Its lantern tower has guided pilots for nine centuries; Columbus's uncle is said to have kept the light.",
    "Hobart": "Whalers wintered below the mountain, and yachts now arrive each December after a race along a stormy coast.",
}
JUDGED = {"promoted", "rejected", "inconclusive"}


@pytest.fixture
def quick(config: Config, tmp_path: Path) -> Config:
    """Small suites, few samples, short runs."""
    learner = {
        "suites": str(make_suites(tmp_path / "suites")),
        "schedule": {"enabled": False},
        "curate": {"heldout_share": 0.5, "anchors": 0, "trust": msgspec.to_builtins(config.learner.curate.trust)},
        "train": {"passes": 1, "max_row_tokens": 256, "rounds": 2, "prompts_per_round": 4, "answers_each": 4, "sample_tokens": 160},
        "gate": {"promote_error": 0.6, "min_heldout_votes": 8},
    }
    return msgspec.structs.replace(config, learner=msgspec.convert(learner, type(config.learner)))


def bring_in(service: Service, name: str, rows: list[dict[str, object]]) -> None:
    body = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    asked = urllib.request.Request(f"{service.url}/api/documents/import?{urlencode({**ABOUT, 'name': name})}", body)
    asked.add_header("Authorization", f"Bearer {service.key}")
    with urllib.request.urlopen(asked) as response:
        last = msgspec.json.decode(response.read().splitlines()[-1])
    assert last["imported"]["added"] == len(rows), last


def run_cycle(client: Client, method: str, **more: str) -> dict[str, Any]:
    begun = client.post("/api/cycles", {"method": method, **more})
    deadline = time.monotonic() + LIMIT_S
    while (report := client.get(f"/api/cycles/{begun['id']}"))["cycle"]["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    found: dict[str, Any] = report["cycle"]
    assert found["method"] == method
    return found


def test_every_method_makes_what_it_should(home: Path, quick: Config) -> None:
    (home / "cycles").mkdir()
    (home / "cycles" / "anchors.jsonl").touch()  # asking base for them would take most of the time
    asked = [[{"role": "user", "content": f"How many boats lie in harbour {n}?"}] for n in range(8)]
    with run_service(home, quick) as service:
        client = Client(url=service.url, key=service.key)
        answers = [{"role": "assistant", "content": f"In harbour {n} lie {n + 3} boats, and a ferry."} for n in range(8)]
        bring_in(service, "shown.jsonl", [{"messages": [*ask, say]} for ask, say in zip(asked, answers, strict=True)])
        pairs = [
            {"prompt": ask[0]["content"], "chosen": say["content"], "rejected": "I do not know anything about it."}
            for ask, say in zip(asked, answers, strict=True)
        ]
        bring_in(service, "pairs.jsonl", pairs)
        texts = [{"text": f"{town} has a harbour with {n + 2} piers. {told}"} for n, (town, told) in enumerate(TOWNS.items())]
        bring_in(service, "corpus.jsonl", texts)
        ended = {method: run_cycle(client, method) for method in ("sft", "dpo")}
        ended["cpt"] = run_cycle(client, "cpt", corpus="harbours")
        for method in ("kto", "reward", "rloo", "grpo", "mixed"):
            settle(client, PEOPLE, TURNS_EACH)
            ended[method] = run_cycle(client, method)
        states = {method: (cycle["state"], cycle["reasons"]) for method, cycle in ended.items()}
        assert states.pop("reward")[0] == "trained", ended["reward"]
        assert {state for state, _ in states.values()} <= JUDGED, states
        made = [cycle["adapter"] for method, cycle in ended.items() if method != "reward"]
        assert len({*made}) == len(made) and None not in made
        served = set(service.call(service.parts.engine.models()))
        assert not [name for name in served if "round" in name]  # what rounds made for themselves is gone again
