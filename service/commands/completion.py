"""`ratchet completion`: what a shell needs to complete commands, made from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from service.commands import shells
from service.commands.terminal import Commands, command

SHELLS: Mapping[str, Callable[[shells.Words], str]] = {"bash": shells.bash, "zsh": shells.zsh, "fish": shells.fish}


def add(commands: Commands) -> None:
    completion = command(commands, "completion", _completion, "print what a shell needs to complete commands")
    completion.add_argument("shell", choices=list(SHELLS), help="whose language to write")


def _completion(arguments: argparse.Namespace) -> None:
    from service.cli import parser  # the whole, of which this file is a part

    print(SHELLS[arguments.shell](shells.words(parser())), end="")
