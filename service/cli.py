"""`ratchet`: the command line. It talks to a running service over HTTP; what works without one says so."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from learner.model import ModelError
from service.assets import AssetsError
from service.client import ClientError
from service.commands import (
    adapters,
    backup,
    bench,
    completion,
    config,
    cycles,
    data,
    doctor,
    engine,
    evaluate,
    gate,
    keys,
    model,
    people,
    policy,
    pretrain,
    sbom,
    simulate,
    status,
    up,
)
from service.commands.overview import Overview
from service.commands.parser import Parser
from service.commands.terminal import Failure
from service.config import ConfigError

FAMILIES = {
    "Run it": (up, engine, doctor, status, config, model, backup, sbom),
    "Learn and judge": (cycles, adapters, evaluate, gate, pretrain),
    "People, data and rules": (people, keys, data, policy),
    "Measure": (simulate, bench),
    "Command line": (completion,),
}  # by heading, in the order in which help shows them


def main(argv: list[str] | None = None) -> None:
    """Runs one command. Exit status 1 for a failure, told in one line; 2 for misuse; 130 for Ctrl-C.

    SIGTERM ends it as one expects of a process, but what it started is ended before, and what was for the moment is removed.
    """
    arguments = parser().parse_args(argv)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except (Failure, ClientError, ConfigError, ModelError, AssetsError) as error:
        print(f"ratchet: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # who read the output, like `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except _Terminated:
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)  # a supervisor knows an end that it asked for by its signal
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(SystemExit):
    """SIGTERM came. An event loop lets this kind through."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated(128 + number)


def parser() -> Overview:
    """The whole command line, as it is declared by its families."""
    whole = Overview()
    commands = whole.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for heading, families in FAMILIES.items():
        before = set(commands.choices)
        for family in families:
            family.add(commands)
        whole.headings[heading] = [name for name in commands.choices if name not in before]
    return whole


if __name__ == "__main__":
    main()
