"""`ratchet simulate`: people made of code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from service.commands.tables import table
from service.commands.terminal import Commands, Failure, command, show

if TYPE_CHECKING:
    from learner.simulate import Report
    from learner.simulated.rounds import Round

COLUMNS = ("round", "votes", "up", "version", "verdict", "liked before", "after", "cycle, s", "because")


def add(commands: Commands) -> None:
    simulate = command(commands, "simulate", _simulate, "drive the real loop with people made of code", json=True)
    simulate.add_argument("--user", type=Path, required=True, help="a Python file with NAME, prompts() and judge()")
    simulate.add_argument("--rounds", type=int, default=2)
    simulate.add_argument("--turns", type=int, default=120, help="turns a round")
    simulate.add_argument("--heldout", type=int, default=80, help="prompts that are never voted on")
    simulate.add_argument("--people", type=int, default=60)
    simulate.add_argument("--url", help="a running service, instead of one in a throw-away home")


def _simulate(arguments: argparse.Namespace) -> None:
    from learner.simulate import simulate
    from learner.simulated.user import SimulationError

    try:
        report = simulate(
            arguments.user,
            rounds=arguments.rounds,
            turns=arguments.turns,
            heldout=arguments.heldout,
            people=arguments.people,
            url=arguments.url,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except SimulationError as error:
        raise Failure(str(error)) from error
    show(arguments, report, _parts)


def _parts(report: Report) -> list[str | Table]:
    rows = [_row(one) for one in report.rounds]
    numbers = [name for name in COLUMNS if name not in ("version", "verdict", "because")]
    return [table(COLUMNS, rows, right=numbers, title=f"What {report.user} made of it")]


def _row(one: Round) -> list[object]:
    shares = [f"{share:.0%}" for share in (one.heldout_before, one.heldout_after)]
    because = next(iter(one.reasons), "")
    return [one.round, one.votes, one.up, one.adapter, one.verdict, *shares, f"{one.cycle_s:.0f}", because]
