"""A home as the first release left it: the files, the tables of schema 0001, and rows with what that release wrote in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from sqlalchemy import MetaData, text

from learner.adapter import Card, expected_shapes, make_zero_adapter, write_adapter
from learner.model import model_sha256
from storage.artifacts import Artifacts
from storage.connect import database_url, open_for_migration
from storage.migrate import migrate
from tests.databases import Place

SCHEMA, RANK = "0001", 16
OPERATOR_KEY, ANNS_KEY = "rt_of_the_operator", "rt_of_ann"
ANN, BOB = "person-ann", "person-bob"
CONVERSATION, QUESTION, ANSWER, AGAIN, CUT = "conv-1", "msg-1", "chatcmpl-1", "chatcmpl-2", "chatcmpl-3"
LEARNT = (
    f'{{"id":"{ANSWER}","person_id":"{ANN}","kind":"thumb","split":"train","weight":1.0,"prompt_ids":[1,2],"answer_ids":[3,4],'
    f'"label":-1,"better_ids":[]}}\n{{"id":"{AGAIN}","person_id":"{ANN}","kind":"thumb","split":"heldout","weight":1.0,'
    f'"prompt_ids":[1,2],"answer_ids":[3,4],"label":1,"better_ids":[]}}\n'
)
DATASET = hashlib.sha256(LEARNT.encode()).hexdigest()
NUMBERED = (("feedback", "position"), ("cycles", "id"), ("evaluations", "id"), ("release", "id"), ("audit", "id"))


def leave_home(home: Path, place: Place, model_dir: Path) -> str:
    """Makes it; gives the name of the version that is live in it."""
    artifacts = home / "artifacts" / "adapters"
    artifacts.mkdir(parents=True)
    (home / "operator.key").write_text(OPERATOR_KEY)
    make_zero_adapter(model_dir, artifacts / "base", RANK)
    write_adapter(artifacts / "made", _learnt(model_dir), RANK, model_dir, Card(model_sha256(model_dir), "base", DATASET))
    known = Artifacts(home)
    hashes = {"base": known.sha256_of(artifacts / "base"), "r1": known.sha256_of(artifacts / "made")}
    live = f"r1-{hashes['r1'][:8]}"
    (artifacts / "made").rename(artifacts / live)
    (home / "cycles" / "1" / "train").mkdir(parents=True)
    (home / "cycles" / "1" / "dataset.jsonl").write_text(LEARNT)
    step = {"step": 1, "steps": 1, "loss": 0.6, "rows_per_s": 3.0, "terms": {"thumb": 0.6}}
    (home / "cycles" / "1" / "train" / "metrics.jsonl").write_text(f"{json.dumps(step)}\n")
    migrate(place, SCHEMA)
    _fill(place, _rows(live, hashes))
    return live


def _learnt(model_dir: Path) -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(1)
    return {name: 0.001 * torch.randn(shape, generator=chance) for name, shape in expected_shapes(model_dir, RANK).items()}


def _fill(place: Place, rows: dict[str, list[dict[str, object]]]) -> None:
    engine = open_for_migration(database_url(place))
    with engine.begin() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for name, values in rows.items():
            for row in values:
                connection.execute(tables.tables[name].insert().values(row))
        if not isinstance(place, Path):
            for name, column in NUMBERED:
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), {len(rows[name])})"))
    engine.dispose()


def _rows(live: str, hashes: dict[str, str]) -> dict[str, list[dict[str, object]]]:
    """By table, in an order in which each row finds what it refers to."""
    gate = {"verdict": "promote", "reasons": ["votes better"], "suites": {"knowledge": _compared()}, "votes": _compared()}
    probe = {"token_ids": [1, 2, 3], "parent_logprobs": [-1.0, -1.0], "candidate_logprobs": [-1.1, -0.9]}
    outputs: dict[str, object] = {
        "collect": {"watermark": 4, "answers": 2, "people": 1},
        "curate": {"dataset_id": DATASET, "train": 1, "heldout": 1, "replay": 0, "dropped": {"too_long": 1}},
        "train": {"adapter": live, "parent": "base", "rows": 1, "seconds": 2.0, "final_loss": 0.6, "probes": [probe]},
        "evaluate": {"candidate": live, "live": "base", "sha256": {"knowledge": "f" * 64}, "votes": [_vote()]},
        "gate": gate,
        "release": {"adapter": live, "previous": "base", "proof": "nearer to the candidate on 2 tokens"},
    }
    adapter = {"sha256": hashes["base"], "path": "artifacts/adapters/base", "state": "retired", "created_at_s": 5.0}
    learnt = {"sha256": hashes["r1"], "path": f"artifacts/adapters/{live}", "state": "live", "created_at_s": 34.0}
    return {
        "people": [_person(ANN, 1.0), _person(BOB, 2.0)],
        "api_keys": [{"sha256": hashlib.sha256(ANNS_KEY.encode()).hexdigest(), "person_id": ANN, "created_at_s": 1.0}],
        "conversations": [{"id": CONVERSATION, "person_id": ANN, "created_at_s": 10.0}],
        "messages": [
            _message(QUESTION, None, "user", "How big is a whale?", 11.0),
            _message(ANSWER, QUESTION, "assistant", "Big.", 12.0, **_answered("base")),
            _message(AGAIN, QUESTION, "assistant", "Up to 30 metres.", 13.0, **_answered(live)),
            _message(CUT, QUESTION, "assistant", "Up to", 14.0, **_answered(live), status="interrupted"),
        ],
        "feedback": [
            _said("fb-1", ANSWER, "thumb", "down", 15.0),
            _said("fb-2", ANSWER, "correction", "30 metres at most.", 15.0),
            _said("fb-3", ANSWER, "reason", ["too_short"], 15.0),
            _said("fb-4", AGAIN, "thumb", "up", 16.0),
            _said("fb-5", AGAIN, "comment", "Better.", 16.0),
        ],
        "cycles": [
            {
                "id": 1, "trigger": "operator", "method": "mixed", "state": "promoted", "started_at_s": 30.0, "ended_at_s": 37.0,
                "adapter": live, "reasons": json.dumps(["votes better"]), "watermark": 4,
            },
        ],
        "stages": [
            {"cycle_id": 1, "name": name, "started_at_s": at, "ended_at_s": at + 1, "output": json.dumps(output)}
            for at, (name, output) in enumerate(outputs.items(), 31)
        ],
        "datasets": [
            {
                "id": DATASET, "cycle_id": 1, "path": "cycles/1/dataset.jsonl", "rows": 2, "created_at_s": 33.0,
                "dropped": json.dumps({"too_long": 1}),
            },
        ],
        "dataset_rows": [
            {
                "dataset_id": DATASET, "number": number, "message_id": message_id, "person_id": ANN, "kind": "thumb",
                "split": split, "weight": 1.0,
            }
            for number, (message_id, split) in enumerate(((ANSWER, "train"), (AGAIN, "heldout")))
        ],
        "adapters": [
            {"name": "base", "parent": None, "cycle_id": None, "dataset_id": None, **adapter},
            {"name": live, "parent": "base", "cycle_id": 1, "dataset_id": DATASET, **learnt},
        ],
        "evaluations": [
            {
                "id": number, "cycle_id": 1, "adapter": name, "suite": "knowledge", "suite_sha256": "f" * 64, "mean": mean,
                "created_at_s": 35.0,
            }
            for number, (name, mean) in enumerate((("base", 0.5), (live, 1.0)), 1)
        ],
        "scores": [{"evaluation_id": number, "item_id": "k-1", "value": value} for number, value in ((1, 0.5), (2, 1.0))],
        "release": [
            {"id": 1, "adapter": "base", "previous": None, "actor": "setup", "reason": "new", "created_at_s": 6.0},
            {"id": 2, "adapter": live, "previous": "base", "actor": "cycle", "reason": "cycle 1", "created_at_s": 36.0},
        ],
        "audit": [
            {"id": 1, "actor": "setup", "action": "release.go_live", "subject": "base", "detail": "new", "created_at_s": 6.0},
            {"id": 2, "actor": "cycle", "action": "release.go_live", "subject": live, "detail": "cycle 1", "created_at_s": 36.0},
        ],
    }  # fmt: skip


def _person(id: str, at_s: float) -> dict[str, object]:
    return {"id": id, "name": id.removeprefix("person-").title(), "created_at_s": at_s}


def _message(id: str, parent: str | None, role: str, content: str, at_s: float, **more: object) -> dict[str, object]:
    plain = {"conversation_id": CONVERSATION, "status": "complete", "prompt_token_ids": "[]", "token_ids": "[]"}
    return {"id": id, "parent_id": parent, "role": role, "content": content, "created_at_s": at_s, **plain, **more}


def _answered(adapter: str) -> dict[str, object]:
    times = {"finish_reason": "stop", "first_token_ms": 1.5, "latency_ms": 2.5}
    return {"adapter": adapter, "engine_model": adapter, "prompt_token_ids": "[1, 2]", "token_ids": "[3, 4]", **times}


def _said(id: str, message_id: str, kind: str, value: object, at_s: float) -> dict[str, object]:
    said = {"message_id": message_id, "person_id": ANN, "kind": kind, "value": json.dumps(value)}
    return {"position": int(id[3:]), "id": id, **said, "created_at_s": at_s, "submission_id": f"s-{message_id}"}


def _compared() -> dict[str, float]:
    return {"live": 0.5, "candidate": 1.0, "delta": 0.5, "lower_bound": 0.1}


def _vote() -> dict[str, object]:
    return {"id": AGAIN, "person_id": ANN, "label": 1, "live": -1.0, "candidate": -0.9}
