"""`ratchet status`: the loop at a glance."""

from __future__ import annotations

import argparse
from typing import Any

from rich.table import Table

from service.client import Client
from service.commands.tables import table, when
from service.commands.terminal import Commands, command, show
from service.watch import tell

WAYS = {"evidence": "by evidence", "interval": "by time", "always": "either way"}


def add(commands: Commands) -> None:
    about = "what is live and tried, what is new, and what the next cycle still waits for"
    command(commands, "status", _status, about, json=True)


def _status(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get("/api/status"), _parts)


def _parts(status: dict[str, Any]) -> list[str | Table]:
    restarts = f", {status['engine_restarts']} restarts" if status["engine_restarts"] else ""
    tried = [f"tried   {one['adapter']}, by {one['share']:.0%} of the people" for one in status["tried"]]
    return [
        f"engine  {status['engine']}{restarts}",
        f"live    {status['live']} (before: {status['previous'] or '-'})",
        *tried,
        *_cycle_lines(status),
        *_outlook(status["outlook"]),
    ]


def _cycle_lines(status: dict[str, Any]) -> list[str]:
    lines = []
    if (running := status["cycle"]) is not None:
        at = status["progress"]
        count = f": {at['stage']} {at['done']} of {at['total']}, {tell(at)}".rstrip(", ") if at and at["total"] else ""
        lines.append(f"cycle   {running['id']} is running{count}")
    if (last := status["last"]) is not None:
        lines.append(f"last    cycle {last['id']} {last['state']} {last['adapter'] or ''}".rstrip())
        lines += [f"          {reason}" for reason in last["reasons"]]
    return lines


def _outlook(outlook: dict[str, Any]) -> list[str | Table]:
    if not outlook["enabled"]:
        return ["next    only when somebody asks: `ratchet cycle run`"]
    looked = f", looked at again at {when(outlook['next_look_at_s'])} UTC" if outlook["next_look_at_s"] else ""
    if outlook["trigger"]:
        return [f"next    due by now, because of {outlook['trigger']}{looked}"]
    rows = [
        (WAYS[one["way"]], one["what"], f"{one['have']:g}", f"{one['need']:g}", "yes" if one["met"] else "no")
        for one in outlook["needs"]
    ]
    return [
        f"next    is not due yet{looked}",
        "",
        table(("a cycle starts", "when there is", "have", "need", "met"), rows, right=["have", "need"]),
    ]
