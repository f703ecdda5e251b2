"""`ratchet cycle`: update cycles."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlencode

from rich.table import Table

from learner.train.methods import METHODS
from service.client import Client
from service.commands import report
from service.commands.tables import table, when
from service.commands.terminal import Commands, command, group, show


def add(commands: Commands) -> None:
    cycle = group(commands, "cycle", "update cycles")
    run = command(cycle, "run", _cycle_run, "begin a cycle now and show it until it ends", json=True)
    run.add_argument("--method", help=f"the way of learning, else the settings' own: {', '.join(sorted(METHODS))}")
    run.add_argument("--corpus", default="", help="the domain or source of imported documents that alone may be learnt from")
    run.add_argument("--dry-run", action="store_true", help="only say what would be learnt, from whom, and what is missing")
    going_on = command(cycle, "resume", _cycle_resume, "have a cycle that failed go on from its last saved stage", json=True)
    going_on.add_argument("id", type=int)
    command(cycle, "list", _cycle_list, "cycles, newest first", json=True)
    one = command(cycle, "show", _cycle_show, "one cycle with its stages", json=True)
    one.add_argument("id", type=int)
    command(cycle, "cancel", _cycle_cancel, "end the running cycle; what is live stays live", json=True)
    report.add_to(cycle)


def _cycle_run(arguments: argparse.Namespace) -> None:
    from service.watch import watch_cycle

    with Client() as client:
        if arguments.dry_run:
            return show(arguments, client.get(f"/api/cycles/preview?{urlencode(_wanted(arguments))}"), _preview_lines)
        begun = client.post("/api/cycles", _wanted(arguments))
        report = watch_cycle(client, begun["id"], show=not arguments.json)
    return show(arguments, report, cycle_lines)


def _cycle_resume(arguments: argparse.Namespace) -> None:
    from service.watch import watch_cycle

    with Client() as client:
        client.post(f"/api/cycles/{arguments.id}/resume")
        report = watch_cycle(client, arguments.id, show=not arguments.json)
    show(arguments, report, cycle_lines)


def _wanted(arguments: argparse.Namespace) -> dict[str, str]:
    said = {"method": arguments.method, "corpus": arguments.corpus}
    return {name: value for name, value in said.items() if value}


def _preview_lines(found: dict[str, Any]) -> list[str]:
    votes = f"{found['liked']} liked, {found['disliked']} disliked, {found['corrected']} corrected"
    lines = [
        f"{found['answers']} answers to look at",
        f"{found['train']:>6} would be learnt from: {votes}",
        f"       of {found['people']} people, worth {found['effective']} independent votes",
        f"{found['heldout']:>6} would judge",
    ]
    lines += [f"{count:>6} held back: {reason}" for reason, count in found["held"].items()]
    lines += [f"{count:>6} left out: {reason}" for reason, count in found["dropped"].items()]
    if not found["would_learn"]:
        lines.append(f"A cycle would end without learning: {found['why_not']}")
    missing = ", ".join(found["missing"]) or "nothing: one starts by itself"
    return [*lines, f"Missing for a cycle to start by itself: {missing}"]


def _cycle_list(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get("/api/cycles"), _cycle_table)


def _cycle_table(found: list[dict[str, Any]]) -> list[str | Table]:
    if not found:
        return ["no cycles yet: `ratchet cycle run` begins one"]
    columns = ("id", "state", "version", "method", "by", "begun", "because")
    return [table(columns, map(_cycle_row, found), right=["id"])]


def _cycle_row(cycle: dict[str, Any]) -> list[object]:
    because = next(iter(cycle["reasons"]), None)
    known = [cycle[name] for name in ("id", "state", "adapter", "method", "trigger")]
    return [*known, when(cycle["started_at_s"]), because]


def _cycle_show(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get(f"/api/cycles/{arguments.id}"), cycle_lines)


def _cycle_cancel(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.delete("/api/cycles/running"), lambda cycle: [_cycle_line(cycle)])


def _cycle_line(cycle: dict[str, Any]) -> str:
    because = f"  {cycle['reasons'][0]}" if cycle["reasons"] else ""
    return f"{cycle['id']:>4} {cycle['state']:<12} {cycle['adapter'] or '-':<16} by {cycle['trigger']}{because}"


def cycle_lines(report: dict[str, Any]) -> list[str]:
    """A cycle, how long each of its stages took, and why it ended as it did."""
    lines = [_cycle_line(report["cycle"])]
    for stage in report["stages"]:
        ended = stage["ended_at_s"]
        lines.append(f"     {stage['name']:<9} {'running' if ended is None else f'''{ended - stage['started_at_s']:.1f} s'''}")
    return lines + [f"     {reason}" for reason in report["cycle"]["reasons"]]
