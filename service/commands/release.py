"""`ratchet release`: what is live, what is tried, and an operator's word on it."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from service.client import Client
from service.commands.terminal import Commands, command, group, show

WORDS = {
    "approve": "put a version live that waits for approval",
    "promote": "put a version live that is tried, whatever is known of it by now",
    "hold": "keep a version with the people who have it",
    "resume": "let a version go on that is held",
    "rollback": "take a version back that is tried, and quarantine it; decline one that waits for approval",
}


def add(commands: Commands) -> None:
    release = group(commands, "release", "what is live and what is tried")
    command(release, "status", _status, "what is live, and what is tried and how it does", json=True)
    for word, about in WORDS.items():
        said = command(release, word, _say, about, json=True)
        said.add_argument("name")
        said.set_defaults(word=word)


def _status(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get("/api/release"), _status_lines)


def _say(arguments: argparse.Namespace) -> None:
    with Client() as client:
        done = client.post(f"/api/release/{quote(arguments.name, safe='')}/{arguments.word}")
        show(arguments, done, lambda row: [_said_line(row)])


def _said_line(row: dict[str, Any]) -> str:
    if "state" in row:
        return _canary_line(row)
    return f"live: {row['adapter']} (before: {row['previous']})"


def _canary_line(canary: dict[str, Any]) -> str:
    return f"{canary['adapter']:<16} {canary['state']:<16} against {canary['against']}: {canary['reason']}"


def _status_lines(status: dict[str, Any]) -> list[str]:
    lines = [f"live: {status['live']} (before: {status['previous']}), mode: {status['mode']}"]
    for trial in status["trials"]:
        canary, judgement = trial["canary"], trial["judgement"]
        lines.append(_canary_line(canary))
        lines.append(f"    stage {canary['stage'] + 1} of {len(status['shares'])}, {trial['share']:.0%} of the people")
        lines += [f"    {reason}" for reason in (judgement or {}).get("reasons", [])]
    return lines + [_canary_line(canary) for canary in status["ended"]]
