"""What every command shares: how it is declared, how it fails, and how it prints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from rich.console import Console
from rich.status import Status
from rich.table import Table

from service.commands.parser import MISUSE, Parser

Command = Callable[[argparse.Namespace], None]
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
FILE_COLUMNS = 200  # of a table that does not go to a terminal


class Failure(Exception):
    """Ends the command with one line that says what was expected and what to do."""


def group(commands: Commands, name: str, about: str) -> Commands:
    """A command of commands; without one it shows what there is, which is misuse."""
    parser = commands.add_parser(name, help=about, description=about)

    def show_help(_: argparse.Namespace) -> None:
        parser.print_help(sys.stderr)
        sys.exit(MISUSE)

    parser.set_defaults(run=show_help)
    return parser.add_subparsers(metavar="COMMAND")


def command(commands: Commands, name: str, run: Command, about: str, json: bool = False) -> Parser:
    """A command that `run` carries out; with `json` it can also print one document for programs."""
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    if json:
        parser.add_argument("--json", action="store_true", help="one JSON document for programs")
    return parser


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Inside, a file that cannot be written ends the command."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{file} cannot be written ({error.strerror}): expected a file that can be made") from error


def show(arguments: argparse.Namespace, document: Any, view: Callable[[Any], Iterable[str | Table]]) -> None:
    """Prints a document: as lines and tables for people, or as it is."""
    if arguments.json:
        print(msgspec.json.encode(document).decode())
        return
    for part in view(document):
        if isinstance(part, str):
            print(part)
        else:
            console().print(part)


def waiting(what: str) -> Status:
    """Around something long that does not say how far it is: shows that it goes on, where somebody looks at a terminal."""
    return Console(stderr=True).status(f"{what} …")


def console() -> Console:
    """Standard output as rich writes it: in colours only on a terminal, and never where NO_COLOR is set."""
    return Console(width=None if sys.stdout.isatty() else FILE_COLUMNS, highlight=False)
