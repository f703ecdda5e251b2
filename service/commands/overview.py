"""What `ratchet` alone says: all commands, by what one wants to do."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from typing import Any

from service.commands.parser import PROGRAM, Parser

ABOUT = "A chat service that learns from its users' votes and never slips back."
HINTS = (
    "`ratchet COMMAND --help` says more, with examples. `--json` gives one JSON document for programs.",
    "Commands find the service by RATCHET_URL and RATCHET_KEY, or by the home (RATCHET_HOME).",
)
WIDTH = 12


class Overview(Parser):
    """The whole command line; `headings` are filled as commands are declared."""

    def __init__(self) -> None:
        super().__init__(prog=PROGRAM, description=ABOUT)
        self.headings: dict[str, list[str]] = {}
        self.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
        self.set_defaults(run=lambda _: self.print_help())

    def format_help(self) -> str:
        """A line for each command, under headings."""
        commands = self.subcommands
        parts = [ABOUT, f"\nusage: {PROGRAM} COMMAND [options]"]
        for heading, names in self.headings.items():
            parts += [f"\n{heading}", *(f"  {name:<{WIDTH}} {_in_short(commands[name])}" for name in names)]
        return "\n".join([*parts, "", *HINTS, ""])


def _in_short(parser: Parser) -> str:
    """What a command does, up to where its description goes into detail."""
    return (parser.description or "").partition(": ")[0].partition("; ")[0]


class _Version(argparse.Action):
    """Asks the installed package only when it is wanted."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        sys.stdout.write(f"{PROGRAM} {version('ratchet')}\n")
        parser.exit()
