"""`ratchet simulate`: people made of code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from service.commands.terminal import Commands, Failure, command, show


def add(commands: Commands) -> None:
    simulate = command(commands, "simulate", _simulate, "drive the real loop with people made of code", json=True)
    simulate.add_argument("--user", type=Path, required=True, help="a Python file with NAME, prompts() and judge()")
    simulate.add_argument("--rounds", type=int, default=2)
    simulate.add_argument("--turns", type=int, default=120, help="turns a round")
    simulate.add_argument("--heldout", type=int, default=80, help="prompts that are never voted on")
    simulate.add_argument("--people", type=int, default=60)
    simulate.add_argument("--url", help="a running service, instead of one in a throw-away home")


def _simulate(arguments: argparse.Namespace) -> None:
    from learner.simulate import SimulationError, simulate

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
    show(arguments, report, lambda told: [str(told)])
