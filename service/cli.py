"""`ratchet`: the command line. It talks to a running service over HTTP; what works without one says so."""

from __future__ import annotations

import argparse
import sys

from learner.model import ModelError
from service.client import ClientError
from service.commands import (
    adapters,
    backup,
    bench,
    cycles,
    data,
    evaluate,
    gate,
    model,
    people,
    policy,
    pretrain,
    release,
    simulate,
    up,
)
from service.commands.terminal import Failure
from service.config import ConfigError

FAMILIES = (
    up,
    cycles,
    adapters,
    release,
    people,
    data,
    simulate,
    evaluate,
    gate,
    policy,
    pretrain,
    model,
    backup,
    bench,
)  # in the order in which help shows them


def main(argv: list[str] | None = None) -> None:
    """Runs one command. Exit status 1 for a failure, told in one line; 2 for misuse."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (Failure, ClientError, ConfigError, ModelError) as error:
        print(f"ratchet: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ratchet", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for family in FAMILIES:
        family.add(commands)
    return parser


if __name__ == "__main__":
    main()
