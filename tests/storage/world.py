"""A home with everything a backup must bring back: records, two adapters, a dataset, settings and a key."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.adapters import insert_adapter
from storage.artifacts import DATASETS, Artifacts
from storage.cycles import insert_cycle
from storage.datasets import insert_dataset
from storage.records import AdapterState, Dataset, DatasetRow
from storage.release import go_live
from tests.databases import Place
from tests.storage.loop import adapter, furnish, in_transaction

ROWS = '{"person_id": "owner"}\n'
DATASET = hashlib.sha256(ROWS.encode()).hexdigest()


def build(home: Path, place: Place) -> Artifacts:
    """`base`, and `v1`, which learnt from owner's answer in cycle 1, which still runs."""
    home.mkdir(parents=True, exist_ok=True)
    artifacts = Artifacts(home)
    rows = artifacts.temporary_dir() / "rows"
    rows.write_text(ROWS)
    artifacts.publish(rows, artifacts.dataset_file(DATASET))
    hashes = {name: _publish(artifacts, name) for name in ("base", "v1")}
    (home / "ratchet.toml").write_text("[storage]\nkeep_datasets = 7\n")
    (home / "operator.key").write_text("rt_secret")
    (home / "cycles" / "1").mkdir(parents=True)
    (home / "cycles" / "1" / "evidence.jsonl").write_text("words")

    async def fill(connection: AsyncConnection) -> None:
        await furnish(connection)
        await insert_cycle(connection, "manual", "kto", 1.0)
        dataset = Dataset(DATASET, 1, f"{DATASETS}/{DATASET}.jsonl", 1, 2.0, {}, DATASET)
        await insert_dataset(connection, dataset, [DatasetRow(DATASET, 0, "answer", "owner", "thumb", "train", 1.0)])
        await insert_adapter(connection, adapter("base", sha256=hashes["base"], state=AdapterState.CANDIDATE))
        await go_live(connection, "base", "setup", "", 1.0)
        await insert_adapter(connection, adapter("v1", parent="base", dataset_id=DATASET, cycle_id=1, sha256=hashes["v1"]))

    in_transaction(place, fill)
    return artifacts


def _publish(artifacts: Artifacts, name: str) -> str:
    tmp = artifacts.temporary_dir()
    (tmp / "deep").mkdir()
    (tmp / "deep" / "weights").write_text(name * 1000)
    (tmp / "config").write_text(name)
    sha256 = artifacts.sha256_of(tmp)
    artifacts.publish(tmp, artifacts.adapter_dir(name))
    return sha256


def contents(home: Path) -> dict[str, bytes]:
    """Every file below the home but the database's own two beside it, which come and go as it is opened."""
    passing = ("ratchet.db-wal", "ratchet.db-shm")
    files = (path for path in home.rglob("*") if path.is_file() and path.name not in passing)
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in files}
