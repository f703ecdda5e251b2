"""A person is forgotten over HTTP: the next cycle rebuilds without them, and what learnt from them leaves disk and engine.

On the built-in model: `./deploy/test -m long tests/faults/test_forgotten.py`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from service.client import Client
from service.config import Config
from tests.conftest import Service, prepare_home, run_service
from tests.faults.conftest import Taught
from tests.faults.talkers import settle, spare_anchors

PEOPLE, TURNS_EACH = 24, 3
LIMIT_S = 400


def run_cycle(client: Client) -> dict[str, Any]:
    begun = client.post("/api/cycles")
    deadline = time.monotonic() + LIMIT_S
    while (report := client.get(f"/api/cycles/{begun['id']}"))["cycle"]["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    cycle: dict[str, Any] = report["cycle"]
    return cycle


def wait_clean(client: Client) -> dict[str, Any]:
    deadline = time.monotonic() + LIMIT_S
    while (receipt := client.get("/api/erasures")[0])["cleaned_at_s"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    found: dict[str, Any] = receipt
    return found


def loaded(service: Service) -> set[str]:
    return set(service.call(service.parts.engine.models()))


def test_who_is_forgotten_leaves_the_weights_too(tmp_path: Path, teachable: Taught) -> None:
    home = tmp_path / "home"
    prepare_home(home, teachable.base)
    spare_anchors(home)
    with run_service(home, msgspec.convert(teachable.settings, Config)) as service:
        client = Client(url=service.url, key=service.key)
        talkers = settle(client, PEOPLE, TURNS_EACH)
        first = run_cycle(client)
        assert first["state"] == "promoted", first
        tainted = str(first["adapter"])
        chain = [row for row in client.get("/api/adapters") if row["name"] == tainted]
        assert len(chain[0]["base_sha256"]) == 64

        stages = client.get(f"/api/cycles/{first['id']}")["stages"]
        judges = {vote["person_id"] for stage in stages if stage["name"] == "evaluate" for vote in stage["output"]["votes"]}
        teacher = next(id for id in talkers if id not in judges)
        gone = talkers.pop(teacher)
        receipt = gone.delete("/v1/me")
        assert receipt["adapters"] == [tainted] and receipt["cleaned_at_s"] is None
        assert client.get("/api/status")["live"] == tainted
        status, _ = service.request("GET", "/v1/models", key="anybody")
        assert status == 200

        rebuilt = run_cycle(client)
        live = client.get("/api/status")["live"]
        assert live == (rebuilt["adapter"] if rebuilt["state"] == "promoted" else "base"), rebuilt
        receipt = wait_clean(client)
        assert receipt["cycle_id"] == rebuilt["id"]
        assert tainted not in loaded(service) and not (home / "artifacts/adapters" / tainted).exists()
        states = {row["name"]: (row["state"], row["parent"]) for row in client.get("/api/adapters")}
        assert states[tainted][0] == "erased" and states[str(rebuilt["adapter"])][1] == "base"
        assert client.get("/api/erasures/verify")["remains"] == []
        assert client.get("/api/status")["previous"] != tainted
