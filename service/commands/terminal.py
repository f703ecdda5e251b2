"""What every command shares: how it is declared, how it fails, and how it prints."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

Command = Callable[[argparse.Namespace], None]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class Failure(Exception):
    """Ends the command with one line that says what was expected and what to do."""


def group(commands: Commands, name: str, about: str) -> Commands:
    """A command of commands."""
    return commands.add_parser(name, help=about, description=about).add_subparsers(required=True, metavar="COMMAND")


def command(commands: Commands, name: str, run: Command, about: str, json: bool = False) -> argparse.ArgumentParser:
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


def show(arguments: argparse.Namespace, document: Any, lines: Callable[[Any], list[str]]) -> None:
    """Prints a document: as lines for people, or as it is."""
    if arguments.json:
        print(msgspec.json.encode(document).decode())
    else:
        print("\n".join(lines(document)))
