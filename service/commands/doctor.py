"""`ratchet doctor`: what is wrong here, and what to do about it; works without a service and without a home."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from service.commands.tables import table
from service.commands.terminal import Commands, command, show, waiting
from service.config import default_home

if TYPE_CHECKING:
    from service.doctor.checks import Examination


def add(commands: Commands) -> None:
    about = "what is wrong with the machine, the install, the model, the database or the service, and what to do"
    doctor = command(commands, "doctor", _doctor, about, json=True)
    doctor.add_argument("--home", type=Path, default=default_home(), help="whose state to look at (default: %(default)s)")


def _doctor(arguments: argparse.Namespace) -> None:
    from service.doctor.checks import examine, subject_of

    with waiting("looking") as status:
        found = examine(subject_of(arguments.home.resolve()), lambda name: status.update(f"looking at {name}"))
    show(arguments, found, _parts)
    if found.problems:
        sys.exit(1)


def _parts(found: Examination) -> list[str | Table]:
    rows = [(one.name, one.level, one.found) for one in found.checks]
    todo = [f"{one.level}: {one.name}: {one.todo}" for one in found.checks if one.todo]
    told = f"{_count(found.problems, 'problem')}, {_count(found.warnings, 'warning')}"
    return [table(("check", "level", "found"), rows), "", told, *todo]


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
