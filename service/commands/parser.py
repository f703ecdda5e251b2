"""The parser of the command line: help with examples, what was meant by a misspelt word, and one line for misuse."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from service.commands.examples import EXAMPLES

PROGRAM = "ratchet"
MISUSE = 2  # the exit status


class Parser(argparse.ArgumentParser):
    """A command, or a command of commands: its subcommands are parsers of this kind too."""

    @property
    def path(self) -> str:
        """The words after `ratchet` that lead here; "" for all of it."""
        return self.prog.partition(" ")[2]

    @property
    def subcommands(self) -> dict[str, Parser]:
        """By name, in the order in which they were declared."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    @property
    def arguments(self) -> list[argparse.Action]:
        """What it takes, options and positionals alike, but for subcommands."""
        return [action for action in self._actions if not isinstance(action, argparse._SubParsersAction)]

    def commands(self) -> Iterator[Parser]:
        """This one and all below it, top down."""
        yield self
        for one in self.subcommands.values():
            yield from one.commands()

    def format_help(self) -> str:
        """What argparse says, and how the command is used by example."""
        examples = EXAMPLES.get(self.path, ())
        head = "\nexamples:\n" if examples else ""
        return super().format_help() + head + "".join(f"  {example}\n" for example in examples)

    def error(self, message: str) -> NoReturn:
        """Ends with one line for what cannot be understood."""
        self.exit(MISUSE, f"{self.prog}: {message}; `{self.prog} --help` says what there is\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Takes all or ends here, where the options that were meant are known."""
        known, left = super().parse_known_args(args, namespace)
        if left:
            options = [name for action in self.arguments for name in action.option_strings]
            self.error(f"{left[0]!r} is not expected here{meant(left[0].partition('=')[0], options)}")
        return known, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Where a choice is none of those there are, names the nearest."""
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        known = meant(str(value), choices) or f": expected {', '.join(choices)}"
        kind = "command" if isinstance(action, argparse._SubParsersAction) else "choice"
        raise argparse.ArgumentError(None if kind == "command" else action, f"there is no {kind} {value!r}{known}")


def meant(word: str, known: Sequence[str]) -> str:
    """The nearest of the known words as a question; "" if none is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
