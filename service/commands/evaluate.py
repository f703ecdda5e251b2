"""`ratchet eval`: frozen eval suites."""

from __future__ import annotations

import argparse

from service.commands.terminal import Commands, Failure, command, group, show


def add(commands: Commands) -> None:
    evaluation = group(commands, "eval", "frozen eval suites")
    command(evaluation, "suites", _eval_suites, "the frozen suites, proved unchanged", json=True)
    command(evaluation, "freeze", _eval_freeze, "freeze the suites as they are now")


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
    show(
        arguments,
        rows,
        lambda found: [f"{r['name']:<14} v{r['version']} {r['items']:>4} items  {r['about']}" for r in found],
    )


def _eval_freeze(arguments: argparse.Namespace) -> None:
    from learner.evaluate.suite import freeze

    for name, sha256 in freeze().items():
        print(f"{name:<14} {sha256}")
