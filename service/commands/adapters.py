"""`ratchet adapters`: versions of the model."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from rich.table import Table

from service.client import Client
from service.commands import adapter_files, side_by_side, trials
from service.commands.tables import table, when
from service.commands.terminal import Commands, command, group, show

WORDS = {
    "quarantine": "take a version away from everybody; if it is live, the one before takes its place",
    "restore": "let a quarantined version be returned to again",
}


def add(commands: Commands) -> None:
    adapters = group(commands, "adapters", "versions of the model")
    command(adapters, "list", _list, "versions, newest first", json=True)
    one = command(adapters, "show", _show, "what a version was made of and judged by, back to base", json=True)
    one.add_argument("name", metavar="NAME")
    side_by_side.add_to(adapters)
    trials.add_to(adapters)
    back = command(adapters, "rollback", _roll_back, "return to the version before the live one", json=True)
    back.add_argument("--to", metavar="NAME", help="a retired version to return to instead")
    for word, about in WORDS.items():
        said = command(adapters, word, _say, about, json=True)
        said.add_argument("name", metavar="NAME")
        said.add_argument("--reason", required=True, help="why, for the audit log")
        said.set_defaults(word=word)
    adapter_files.add_to(adapters)


def _list(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get("/api/adapters"), _table)


def _table(found: list[dict[str, Any]]) -> list[Table]:
    columns = ("version", "state", "from", "cycle", "made")
    rows = [(one["name"], one["state"], one["parent"], one["cycle_id"], when(one["created_at_s"])) for one in found]
    return [table(columns, rows, right=["cycle"])]


def _show(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get(f"/api/adapters/{quote(arguments.name, safe='')}"), _chain_lines)


def _chain_lines(lineage: dict[str, Any]) -> list[str]:
    return [line for link in lineage["chain"] for line in _link_lines(link)]


def _link_lines(link: dict[str, Any]) -> list[str]:
    adapter, dataset, cycle = link["adapter"], link["dataset"], link["cycle"]
    taint = "  TAINTED: it learnt from somebody who is forgotten" if adapter["tainted_at_s"] else ""
    lines = [f"{adapter['name']:<16} {adapter['state']:<11} sha256 {adapter['sha256'][:12]}{taint}"]
    if adapter["base_sha256"]:
        lines.append(f"    weights   {adapter['base_sha256'][:12]}")
    if cycle:
        lines.append(f"    cycle     {cycle['id']} by {cycle['trigger']}, {cycle['method']}: {cycle['state']}")
        lines += [f"              {reason}" for reason in cycle["reasons"]]
    if dataset:
        lines.append(f"    dataset   {dataset['id'][:12]}: {_counts(link['splits']) or 'no rows'}")
    if dataset and dataset["dropped"]:
        lines.append(f"    dropped   {_counts(dataset['dropped'])}")
    lines += [f"    judged by {one['suite']} {one['suite_sha256'][:12]}: {one['mean']:.3f}" for one in link["evaluations"]]
    return lines


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


def _roll_back(arguments: argparse.Namespace) -> None:
    with Client() as client:
        moved = client.post("/api/adapters/rollback", {"to": arguments.to} if arguments.to else None)
        show(arguments, moved, lambda row: [f"live: {row['adapter']} (before: {row['previous']})"])


def _say(arguments: argparse.Namespace) -> None:
    with Client() as client:
        done = client.post(f"/api/adapters/{quote(arguments.name, safe='')}/{arguments.word}", {"reason": arguments.reason})
        show(arguments, done, lambda row: [f"{row['name']} is {row['state']}"])
