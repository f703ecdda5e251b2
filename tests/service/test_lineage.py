"""Operators trace an adapter to all that made it, and a message to all that learnt from it."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import insert_adapter
from storage.cycles import insert_cycle, update_cycle
from storage.datasets import insert_dataset
from storage.evaluations import insert_evaluation
from storage.records import AdapterState, CycleState, Dataset, DatasetRow
from tests.conftest import CHECKOUT, Service
from tests.storage.loop import adapter

pytestmark = pytest.mark.engine
SUITE = "5" * 64


@pytest.fixture
def family(service: Service) -> Service:
    """base → r1-aaaaaaaa (tainted since) → r2-bbbbbbbb, the first of which was trained here."""

    async def found(connection: AsyncConnection) -> None:
        cycle = await insert_cycle(connection, "operator", "mixed", 1.0)
        await update_cycle(connection, cycle.id, state=CycleState.PROMOTED, reasons=["people like it"])
        taught = [("m-0", "train"), ("m-1", "train"), ("m-2", "heldout"), ("m-3", "dropped")]
        rows = [DatasetRow("d" * 64, n, id, "ann", "thumb", split, 1.0) for n, (id, split) in enumerate(taught)]
        await insert_dataset(connection, Dataset("d" * 64, cycle.id, "artifacts/datasets/d.jsonl", 4, 2.0, {"cap": 1}), rows)
        made = {"cycle_id": cycle.id, "dataset_id": "d" * 64, "base_sha256": "b" * 64, "tainted_at_s": 9.0}
        retired = AdapterState.RETIRED
        await insert_adapter(connection, adapter("r1-aaaaaaaa", parent="base", sha256="a" * 64, state=retired, **made))
        await insert_adapter(connection, adapter("r2-bbbbbbbb", parent="r1-aaaaaaaa"))
        await insert_evaluation(connection, cycle.id, "r1-aaaaaaaa", "facts", SUITE, {"a": 1.0, "b": 0.5}, 3.0)

    service.call(service.parts.database.write(found))
    return service


def ratchet(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"RATCHET_URL": service.url, "RATCHET_KEY": service.key}
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60)


def test_the_chain_leads_back_to_base(family: Service) -> None:
    status, lineage = family.request("GET", "/api/adapters/r2-bbbbbbbb", key=family.key)
    _, first, base = lineage["chain"]
    names = [link["adapter"]["name"] for link in lineage["chain"]]
    assert (status, names, lineage["tainted"]) == (200, ["r2-bbbbbbbb", "r1-aaaaaaaa", "base"], ["r1-aaaaaaaa"])
    assert (first["adapter"]["parent"], first["adapter"]["base_sha256"]) == ("base", "b" * 64)
    assert (first["splits"], first["dataset"]["dropped"]) == ({"train": 2, "heldout": 1, "dropped": 1}, {"cap": 1})
    assert (first["cycle"]["state"], first["cycle"]["reasons"]) == ("promoted", ["people like it"])
    assert [(one["suite"], one["suite_sha256"], one["mean"]) for one in first["evaluations"]] == [("facts", SUITE, 0.75)]
    assert (base["dataset"], base["cycle"], base["evaluations"]) == (None, None, [])


def test_messages_and_adapters_lead_to_each_other(family: Service) -> None:
    def get(path: str) -> object:
        status, found = family.request("GET", path, key=family.key)
        assert status == 200, found
        return found

    learnt = ["r1-aaaaaaaa", "r2-bbbbbbbb"]
    for name in learnt:
        assert get(f"/api/adapters/{name}/messages") == {"adapter": name, "messages": ["m-0", "m-1"], "has_more": False}
    page = get("/api/adapters/r1-aaaaaaaa/messages?limit=1")
    assert page == {"adapter": "r1-aaaaaaaa", "messages": ["m-0"], "has_more": True}
    assert get("/api/adapters/r1-aaaaaaaa/messages?after=m-0") == page | {"messages": ["m-1"], "has_more": False}
    assert get("/api/messages/m-1/adapters") == {"message": "m-1", "adapters": learnt}
    assert get("/api/messages/m-2/adapters") == {"message": "m-2", "adapters": []}


def test_only_the_operator_asks_and_an_unknown_name_is_quoted(family: Service) -> None:
    paths = ("/api/adapters/base", "/api/adapters/base/messages", "/api/messages/m-1/adapters", "/api/people")
    assert [family.request("GET", path)[0] for path in paths] == [403] * 4
    for path in ("/api/adapters/r9-none", "/api/adapters/r9-none/messages"):
        status, refused = family.request("GET", path, key=family.key)
        assert status == 404 and "'r9-none'" in refused["error"]["message"]


def test_the_command_prints_the_chain(family: Service) -> None:
    shown = ratchet(family, "adapters", "show", "r2-bbbbbbbb")
    assert shown.returncode == 0, shown.stderr
    for said in (
        "r1-aaaaaaaa      retired     sha256 aaaaaaaaaaaa  TAINTED",
        "cycle     1 by operator, mixed: promoted",
        "people like it",
        "dataset   dddddddddddd: 1 dropped, 1 heldout, 2 train",
        "dropped   1 cap",
        "judged by facts 555555555555: 0.750",
        "base ",
    ):
        assert said in shown.stdout, shown.stdout
    document = msgspec.json.decode(ratchet(family, "adapters", "show", "r2-bbbbbbbb", "--json").stdout)
    assert document == family.request("GET", "/api/adapters/r2-bbbbbbbb", key=family.key)[1]
    unknown = ratchet(family, "adapters", "show", "r9-none")
    assert (unknown.returncode, unknown.stderr) == (1, "ratchet: there is no adapter 'r9-none'\n")


def test_operators_page_through_people(service: Service) -> None:
    for name in ("Ann", "Bob", "Cy"):
        assert service.request("POST", "/api/people", {"name": name}, key=service.key)[0] == 201
    names, after = [], ""
    while after is not None:
        found = service.request("GET", f"/api/people?limit=2&after={after}", key=service.key)[1]
        names += [one["name"] for one in found["data"]]
        after = found["last_id"] if found["has_more"] else None
    assert sorted(names) == ["Ann", "Bob", "Cy"]
