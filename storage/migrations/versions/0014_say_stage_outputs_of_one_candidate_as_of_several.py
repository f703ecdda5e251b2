"""Say what stages put out, when a cycle made one candidate, as it is said now that a cycle may make several."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

Output = dict[str, Any]


def upgrade() -> None:
    stages = sa.table("stages", *map(sa.column, ("cycle_id", "name", "started_at_s", "ended_at_s", "output")))
    ended = sa.select(stages).where(stages.c.name.in_(list(REWRITTEN)), stages.c.ended_at_s.is_not(None))
    trained: dict[int, str] = {}  # the candidate of each cycle that made one
    rows = op.get_bind().execute(ended.order_by(stages.c.cycle_id, stages.c.started_at_s)).all()
    for row in rows:
        said = json.loads(row.output)
        if not isinstance(said, dict):
            continue
        if row.name == "train" and "adapter" in said:
            trained[row.cycle_id] = said["adapter"]
        now = REWRITTEN[row.name](said, trained.get(row.cycle_id, ""), row.ended_at_s - row.started_at_s)
        if now is not said:
            this = (stages.c.cycle_id == row.cycle_id) & (stages.c.name == row.name)
            op.execute(stages.update().where(this).values(output=json.dumps(now, ensure_ascii=False)))


def _trained(said: Output, candidate: str, seconds: float) -> Output:
    if "adapter" not in said:
        return said
    made = {name: said.get(name) for name in ("adapter", "rows", "seconds", "final_loss")}
    parent = said["parent"]
    return {
        "candidates": [made | {"variant": "", "measures": {}, "stopped": ""}],
        "parent": parent,
        "against": parent,
        "replaced": said.get("replaced", parent),
        "probes": {candidate: said["probes"]},
    }


def _evaluated(said: Output, candidate: str, seconds: float) -> Output:
    if "candidate" not in said:
        return said
    candidate, live = said["candidate"], said["live"]
    votes = [
        {name: vote[name] for name in ("id", "person_id", "label")} | {"means": {live: vote["live"], candidate: vote["candidate"]}}
        for vote in said["votes"]
    ]
    kept = {"live": live, "sha256": said["sha256"], "votes": votes, "seconds": seconds}
    return {"candidates": [candidate], "scored": [candidate], **kept}


def _decided(said: Output, candidate: str, seconds: float) -> Output:
    return said if "adapter" in said or not candidate else {**said, "adapter": candidate, "others": {}}


REWRITTEN: dict[str, Callable[[Output, str, float], Output]] = {"train": _trained, "evaluate": _evaluated, "gate": _decided}
