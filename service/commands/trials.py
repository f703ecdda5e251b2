"""`ratchet adapters canary` and `promote`: what is live, what is tried, and an operator's word on it."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from service.client import Client
from service.commands.terminal import Commands, command, show

WAITS = "waiting_approval"
WORDS = {
    "hold": "keep it with the people who have it",
    "resume": "let it go on where it is held",
    "withdraw": "take it back and quarantine it; decline it where it waits for approval",
}


def add_to(adapters: Commands) -> None:
    about = "what is live, and what is tried and how it does; with NAME an operator's word on one that is tried"
    canary = command(adapters, "canary", _canary, about, json=True)
    canary.add_argument("name", metavar="NAME", nargs="?")
    words = canary.add_mutually_exclusive_group()
    for word, what in WORDS.items():
        words.add_argument(f"--{word}", dest="word", action="store_const", const=word, help=what)
    canary.set_defaults(misuse=canary.error)
    about = "put a version live that is tried, whatever is known of it by now, or that waits for approval"
    promote = command(adapters, "promote", _promote, about, json=True)
    promote.add_argument("name", metavar="NAME")


def _canary(arguments: argparse.Namespace) -> None:
    if (arguments.name is None) != (arguments.word is None):
        flags = ", ".join(f"--{word}" for word in WORDS)
        arguments.misuse(f"expected a NAME and one of {flags}, or neither of them")
    with Client() as client:
        if arguments.name is None:
            show(arguments, client.get("/api/release"), _status_lines)
        else:
            show(arguments, _say(client, arguments.name, arguments.word), lambda canary: [_line(canary)])


def _promote(arguments: argparse.Namespace) -> None:
    with Client() as client:
        trials = (trial["canary"] for trial in client.get("/api/release")["trials"])
        waits = any(one["adapter"] == arguments.name and one["state"] == WAITS for one in trials)
        moved = _say(client, arguments.name, "approve" if waits else "promote")
    show(arguments, moved, lambda row: [f"live: {row['adapter']} (before: {row['previous']})"])


def _say(client: Client, name: str, word: str) -> Any:
    return client.post(f"/api/release/{quote(name, safe='')}/{'rollback' if word == 'withdraw' else word}")


def _line(canary: dict[str, Any]) -> str:
    return f"{canary['adapter']:<16} {canary['state']:<16} against {canary['against']}: {canary['reason']}"


def _status_lines(status: dict[str, Any]) -> list[str]:
    lines = [f"live: {status['live']} (before: {status['previous']}), mode: {status['mode']}"]
    for trial in status["trials"]:
        canary, judgement = trial["canary"], trial["judgement"]
        lines.append(_line(canary))
        lines.append(f"    stage {canary['stage'] + 1} of {len(status['shares'])}, {trial['share']:.0%} of the people")
        lines += [f"    {reason}" for reason in (judgement or {}).get("reasons", [])]
    return lines + [_line(canary) for canary in status["ended"]]
