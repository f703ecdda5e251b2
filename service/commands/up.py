"""`ratchet up`: the service itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from service.commands.terminal import Commands, Failure, command
from service.config import default_home, load_config


def add(commands: Commands) -> None:
    up = command(commands, "up", _up, "start the service and its engine")
    up.add_argument("--home", type=Path, default=default_home(), help="where all state lives (default: %(default)s)")
    up.add_argument("--port", type=int, help="0 for a free one")


def _up(arguments: argparse.Namespace) -> None:
    from learner.policy import PolicyError, load_policy
    from service.up import UpError, up

    home: Path = arguments.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    try:
        config = load_config(home)
        load_policy(config.learner.policy)  # told here, what is wrong with it is a line and no traceback of the server
        up(home, config, arguments.port)
    except (UpError, PolicyError) as error:
        raise Failure(str(error)) from error
