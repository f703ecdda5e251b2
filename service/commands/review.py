"""`ratchet data review`: what was held back from learning, and an operator's word on it."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from service.client import Client
from service.commands.terminal import Commands, command, show
from storage.records import Decision

SHOWN = 100  # of what is held back, the newest
WORDS_WIDTH = 60


def add_to(data: Commands) -> None:
    review = command(data, "review", _review, "show what was held back from learning, and accept or reject it", json=True)
    review.add_argument("--state", default="pending", choices=["pending", "accepted", "rejected"], help="what to show")
    named = "ID|CLUSTER"
    review.add_argument("--accept", nargs="+", default=[], metavar=named, help="let these teach, whatever held them back")
    review.add_argument("--reject", nargs="+", default=[], metavar=named, help="keep these out for good")


def _review(arguments: argparse.Namespace) -> None:
    words = [(name, Decision.ACCEPTED) for name in arguments.accept] + [(name, Decision.REJECTED) for name in arguments.reject]
    with Client() as client:
        if words:
            decided = [{"name": name, **client.post("/api/data/review", _body(name, word))} for name, word in words]
            show(arguments, {"decided": decided}, _decided_lines)
        else:
            held = client.get(f"/api/data/review?state={quote(arguments.state)}&limit={SHOWN}")
            show(arguments, held, lambda page: _held_lines(page, arguments.state))


def _body(name: str, decision: Decision) -> dict[str, str]:
    """Clusters are told from messages by the colon in their names."""
    return {"cluster" if ":" in name else "message_id": name, "decision": decision.value}


def _decided_lines(document: dict[str, Any]) -> list[str]:
    return [f"{one['name']}: {one['answers']} {one['decision']}" for one in document["decided"]]


def _held_lines(page: dict[str, Any], state: str) -> list[str]:
    """A block for each cluster and for each answer that stands alone."""
    if not page["data"]:
        return [f"nothing is {state}"]
    lines, seen = [], set()
    for held in page["data"]:
        if held["cluster"] and held["cluster"] in seen:
            continue
        seen.add(held["cluster"])
        together = f" ({held['alike']} answers together)" if held["cluster"] else ""
        lines += [
            f"{held['cluster'] or held['message_id']}: {held['reason']}{together}",
            f"     {held['message_id']} of {held['person_id']} in cycle {held['cycle_id']}",
            f"     asked: {_short(held['question'])}",
            f"     answered: {_short(held['answer'])}",
        ]
    return lines + ([f"and more, older than these {len(page['data'])}"] if page["has_more"] else [])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WORDS_WIDTH else f"{line[: WORDS_WIDTH - 1]}…"
