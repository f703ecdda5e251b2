"""`ratchet`: the command line. It talks to a running service over HTTP; only `up`, `model` and `eval` work without one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from learner.model import BUILTIN, ModelError, ensure_model
from service.client import Client, ClientError
from service.config import ConfigError, default_home, load_config, models_dir

Command = Callable[[argparse.Namespace], None]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class Failure(Exception):
    """Ends the command with one line that says what was expected and what to do."""


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

    up = _add(commands, "up", _up, "start the service and its engine")
    up.add_argument("--home", type=Path, default=default_home(), help="where all state lives (default: %(default)s)")
    up.add_argument("--port", type=int, help="0 for a free one")

    cycle = _group(commands, "cycle", "update cycles")
    _add(cycle, "run", _cycle_run, "begin a cycle now and show it until it ends", json=True)
    _add(cycle, "list", _cycle_list, "cycles, newest first", json=True)
    show = _add(cycle, "show", _cycle_show, "one cycle with its stages", json=True)
    show.add_argument("id", type=int)
    _add(cycle, "cancel", _cycle_cancel, "end the running cycle; what is live stays live", json=True)

    adapters = _group(commands, "adapters", "versions of the model")
    _add(adapters, "list", _adapters_list, "versions, newest first", json=True)
    _add(adapters, "rollback", _adapters_rollback, "return to the version before the live one", json=True)

    simulate = _add(commands, "simulate", _simulate, "drive the real loop with people made of code", json=True)
    simulate.add_argument("--user", type=Path, required=True, help="a Python file with NAME, prompts() and judge()")
    simulate.add_argument("--rounds", type=int, default=2)
    simulate.add_argument("--turns", type=int, default=120, help="turns a round")
    simulate.add_argument("--heldout", type=int, default=80, help="prompts that are never voted on")
    simulate.add_argument("--people", type=int, default=40)
    simulate.add_argument("--url", help="a running service, instead of one in a throw-away home")

    evaluation = _group(commands, "eval", "frozen eval suites")
    _add(evaluation, "suites", _eval_suites, "the frozen suites, proved unchanged", json=True)
    _add(evaluation, "freeze", _eval_freeze, "freeze the suites as they are now")

    model = _group(commands, "model", "the base model")
    get = _add(model, "get", _model_get, "fetch and convert the built-in model, once")
    get.add_argument("name", nargs="?", default=BUILTIN)
    return parser


def _group(commands: Commands, name: str, about: str) -> Commands:
    return commands.add_parser(name, help=about, description=about).add_subparsers(required=True, metavar="COMMAND")


def _add(
    commands: Commands,
    name: str,
    run: Command,
    about: str,
    json: bool = False,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    if json:
        parser.add_argument("--json", action="store_true", help="one JSON document for programs")
    return parser


def _up(arguments: argparse.Namespace) -> None:
    from service.up import UpError, up

    home: Path = arguments.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    try:
        up(home, load_config(home), arguments.port)
    except UpError as error:
        raise Failure(str(error)) from error


def _cycle_run(arguments: argparse.Namespace) -> None:
    from service.watch import watch_cycle

    with Client() as client:
        begun = client.post("/api/cycles")
        report = watch_cycle(client, begun["id"], show=not arguments.json)
    _print(arguments, report, _cycle_lines)


def _cycle_list(arguments: argparse.Namespace) -> None:
    with Client() as client:
        _print(arguments, client.get("/api/cycles"), lambda found: [_cycle_line(cycle) for cycle in found])


def _cycle_show(arguments: argparse.Namespace) -> None:
    with Client() as client:
        _print(arguments, client.get(f"/api/cycles/{arguments.id}"), _cycle_lines)


def _cycle_cancel(arguments: argparse.Namespace) -> None:
    with Client() as client:
        _print(arguments, client.delete("/api/cycles/running"), lambda cycle: [_cycle_line(cycle)])


def _adapters_list(arguments: argparse.Namespace) -> None:
    with Client() as client:
        found = client.get("/api/adapters")
        _print(
            arguments,
            found,
            lambda rows: [f"{row['name']:<16} {row['state']:<10} from {row['parent'] or '-'}" for row in rows],
        )


def _adapters_rollback(arguments: argparse.Namespace) -> None:
    with Client() as client:
        moved = client.post("/api/adapters/rollback")
        _print(arguments, moved, lambda row: [f"live: {row['adapter']} (before: {row['previous']})"])


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
    _print(arguments, report, lambda told: [str(told)])


def _eval_suites(arguments: argparse.Namespace) -> None:
    from learner.evaluate.suite import SuiteError, load_suites

    try:
        suites = load_suites()
    except SuiteError as error:
        raise Failure(str(error)) from error
    rows = [
        {
            "name": suite.name,
            "version": suite.header.version,
            "items": len(suite.items),
            "sha256": suite.sha256,
            "about": suite.header.about,
        }
        for suite in suites
    ]
    _print(
        arguments,
        rows,
        lambda found: [f"{r['name']:<14} v{r['version']} {r['items']:>4} items  {r['about']}" for r in found],
    )


def _eval_freeze(arguments: argparse.Namespace) -> None:
    from learner.evaluate.suite import freeze

    for name, sha256 in freeze().items():
        print(f"{name:<14} {sha256}")


def _model_get(arguments: argparse.Namespace) -> None:
    print(ensure_model(arguments.name, models_dir(), print))


def _print(arguments: argparse.Namespace, document: Any, lines: Callable[[Any], list[str]]) -> None:
    import msgspec

    if arguments.json:
        print(msgspec.json.encode(document).decode())
    else:
        print("\n".join(lines(document)))


def _cycle_line(cycle: dict[str, Any]) -> str:
    because = f"  {cycle['reasons'][0]}" if cycle["reasons"] else ""
    return f"{cycle['id']:>4} {cycle['state']:<12} {cycle['adapter'] or '-':<16} by {cycle['trigger']}{because}"


def _cycle_lines(report: dict[str, Any]) -> list[str]:
    lines = [_cycle_line(report["cycle"])]
    for stage in report["stages"]:
        ended = stage["ended_at_s"]
        lines.append(f"     {stage['name']:<9} {'running' if ended is None else f'''{ended - stage['started_at_s']:.1f} s'''}")
    return lines + [f"     {reason}" for reason in report["cycle"]["reasons"]]


if __name__ == "__main__":
    main()
