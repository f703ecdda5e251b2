"""`ratchet eval run` and `ratchet eval compare`: versions on the frozen suites, through the running service."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from service.client import TRANSFER_TIMEOUT_S, Client
from service.commands.junit import write_junit
from service.commands.terminal import Commands, command, show, waiting, writing

EXITS = {"promote": 0, "reject": 1, "inconclusive": 2}
WORDS = {"promote": "not worse", "reject": "worse", "inconclusive": "inconclusive"}


def add_to(evaluation: Commands) -> None:
    run = command(evaluation, "run", _run, "score a version on what it was not scored on, beside the people who chat", json=True)
    run.add_argument("adapter", metavar="ADAPTER", nargs="?", help="the live one where none is given")
    about = "is version B worse than version A? Exit status 0 for no, 1 for yes, 2 where it cannot be told"
    compare = command(evaluation, "compare", _compare, about, json=True)
    compare.add_argument("a", metavar="A", help="a version, or base")
    compare.add_argument("b", metavar="B", help="the version that is judged")
    compare.add_argument("--junit", metavar="FILE", type=Path, help="write a test report, too, with a case for each suite")
    for parser in (run, compare):
        parser.add_argument("--suite", metavar="NAME", action="append", default=[], help="this one alone; may be said again")


def _run(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, _score(client, arguments.adapter, arguments.suite), _scored_lines)


def _score(client: Client, adapter: str | None, suites: list[str]) -> Any:
    with waiting(f"scoring {adapter or 'the live version'}"):
        return client.post("/api/suites/run", {"adapter": adapter, "suites": suites}, TRANSFER_TIMEOUT_S)


def _scored_lines(scored: dict[str, Any]) -> list[str]:
    return [scored["adapter"], *(_mean_line(one, scored["unjudged"]) for one in scored["suites"])]


def _mean_line(one: dict[str, Any], unjudged: dict[str, str]) -> str:
    told = f"not scored: {unjudged.get(one['name'], 'ask again')}" if one["mean"] is None else f"{one['mean']:.4f}"
    return f"  {one['name']:<20} {one['kind']:<8} {one['items']:>5} items  {told}"


def _compare(arguments: argparse.Namespace) -> None:
    with Client() as client:
        for version in dict.fromkeys((arguments.a, arguments.b)):
            _score(client, version, arguments.suite)
        query = urlencode([("a", arguments.a), ("b", arguments.b), *(("suite", name) for name in arguments.suite)])
        compared = client.get(f"/api/suites/compare?{query}")
    if arguments.junit is not None:
        with writing(arguments.junit):
            write_junit(arguments.junit, compared)
    show(arguments, compared, compared_lines)
    sys.exit(EXITS[compared["verdict"]])


def compared_lines(compared: dict[str, Any]) -> list[str]:
    """What the suites say, and the items that turned."""
    lines = [f"{compared['before']} -> {compared['after']}: {WORDS[compared['verdict']]}"]
    return lines + [line for one in compared["suites"] for line in _suite_lines(one)]


def _suite_lines(one: dict[str, Any]) -> list[str]:
    finding, advisory = one["finding"], "  (advisory)" if one["advisory"] else ""
    told = WORDS[finding["verdict"]]
    if (found := finding["comparison"]) is None:
        return [f"  {finding['name']:<20} {told}: {finding['reason']}{advisory}"]
    lines = [f"  {finding['name']:<20} {told_change(found)}  {told}{advisory}"]
    return lines + [
        f"      {move['item']:<24} {move['before']:.3f} -> {move['after']:.3f}  {move['topic']}" for move in one["moves"]
    ]


def told_change(found: dict[str, Any]) -> str:
    """The mean score before and after, and the bound of the change beside the margin."""
    means = f"{found['live']:>8.4f} -> {found['candidate']:.4f}"
    return f"{means}  {found['delta']:+.4f}, bound {found['lower_bound']:+.4f} of {-found['margin']:+.4f}"
