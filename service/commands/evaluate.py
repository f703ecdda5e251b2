"""`ratchet eval`: frozen eval suites, and versions on them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from service.client import TRANSFER_TIMEOUT_S, Client
from service.commands import comparison
from service.commands.tables import table
from service.commands.terminal import Commands, Failure, command, group, show, waiting
from service.config import default_home, load_config

if TYPE_CHECKING:
    from learner.evaluate.cards import SuiteCard

SHOWN_SHA256 = 12
KINDS = ("choice", "rules", "even", "judged")  # that rows of files can have


def add(commands: Commands) -> None:
    evaluation = group(commands, "eval", "frozen eval suites")
    command(evaluation, "suites", _suites, "the suites that judge here, proved unchanged; works without a service", json=True)
    freezing = command(
        evaluation, "freeze", _freeze, "take the suites of a folder as they are now; works without a service", json=True
    )
    freezing.add_argument("folder", metavar="DIR", nargs="?", type=Path, help="the home's own suites where none is given")
    _add_import(evaluation)
    calibrating = command(
        evaluation, "calibrate", _calibrate, "how far the judge (learner.judge) agrees with people: it decides only then", json=True
    )
    calibrating.add_argument("--limit", type=int, default=200, metavar="N", help="pairs to ask about, twice each (%(default)s)")
    comparison.add_to(evaluation)


def _add_import(evaluation: Commands) -> None:
    about = "make a suite of a JSONL file, or of a task of lm-eval; works without a service"
    into = command(evaluation, "import", _import, about, json=True)
    into.add_argument("what", metavar="FILE|TASK", help="a file of JSON lines, or with --lm-eval the name of a task")
    into.add_argument("--lm-eval", metavar="DIR", type=Path, help="a folder with the YAML files of tasks")
    into.add_argument("--name", help="of the suite; the task's where none is given")
    into.add_argument("--kind", choices=KINDS, help="of rows that have more than one form")
    into.add_argument("--margin", type=float, default=0.05, help="the drop of the mean score that is too much (%(default)s)")
    into.add_argument("--veto", action="store_true", help="refuse a version by the bound alone")
    into.add_argument(
        "--advisory", action=argparse.BooleanOptionalAction, help="report and never decide (unless --veto or --no-advisory)"
    )
    into.add_argument("--language", default="en", metavar="CODE", help="ISO 639 (%(default)s)")
    into.add_argument("--about", default="", help="what it asks, in a sentence")
    into.add_argument("--limit", type=int, metavar="N", help="draw so many items, always the same")
    into.set_defaults(misuse=into.error)


def _suites(arguments: argparse.Namespace) -> None:
    from learner.evaluate.cards import suite_cards
    from learner.evaluate.judged import read_calibration
    from learner.evaluate.suite import suite_folders

    home = default_home()
    with _told():
        settings = load_config(home).learner
        cards = suite_cards(suite_folders(home, settings.suites), settings.judge, read_calibration(home))
    show(arguments, cards, _card_table)


def _card_table(cards: list[SuiteCard]) -> list[Table]:
    columns = ("suite", "kind", "version", "items", "margin", "decides", "sha256", "folder", "note")
    return [table(columns, map(_card_row, cards), right=["version", "items", "margin"])]


def _card_row(card: SuiteCard) -> list[object]:
    decides = "veto" if card.veto else "advisory" if card.advisory else "with the others"
    sizes = (card.version, card.items, f"{card.margin:g}")
    return [card.name, card.kind, *sizes, decides, card.sha256[:SHOWN_SHA256], card.folder, card.note]


def _calibrate(arguments: argparse.Namespace) -> None:
    with Client() as client, waiting("asking the judge"):
        found = client.post("/api/suites/calibrate", {"limit": arguments.limit}, TRANSFER_TIMEOUT_S)
    show(arguments, found, _calibration_lines)


def _calibration_lines(found: dict[str, Any]) -> list[str]:
    agreed = f"agrees with people on {found['agreed']} of {found['pairs']} pairs, lower bound {found['bound']:.3f}"
    return [f"{found['model']} at {found['host']}: {agreed}; {found['ties']} ties beside them"]


def _freeze(arguments: argparse.Namespace) -> None:
    from learner.evaluate.suite import OWN, freeze

    with _told():
        manifest = freeze(arguments.folder or default_home() / OWN)
    show(arguments, manifest, lambda frozen: [f"{name:<20} {sha256}" for name, sha256 in frozen.items()])


def _import(arguments: argparse.Namespace) -> None:
    from learner.evaluate.importing import About, import_rows
    from learner.evaluate.suite import OWN
    from learner.evaluate.tasks import import_task

    if arguments.lm_eval is None and not arguments.name:
        arguments.misuse("a file needs --name NAME, which its suite will have")
    if arguments.lm_eval is not None and arguments.kind:
        arguments.misuse("a task says itself of which kind it is: no --kind with --lm-eval")
    if arguments.limit is not None and arguments.limit < 1:
        arguments.misuse(f"limit is {arguments.limit}; expected 1 or more")
    advisory = not arguments.veto if arguments.advisory is None else arguments.advisory
    root, name = default_home() / OWN, arguments.name or arguments.what
    about = About(name, arguments.margin, arguments.veto, advisory, arguments.language, arguments.about, arguments.limit)
    with _told():
        if arguments.lm_eval is not None:
            suite = import_task(root, arguments.lm_eval, arguments.what, about)
        else:
            suite = import_rows(root, Path(arguments.what), about, arguments.kind)
    made = {
        "name": suite.name,
        "kind": suite.header.kind,
        "items": len(suite.items),
        "folder": str(root / name),
        "sha256": suite.sha256,
    }
    show(arguments, made, lambda one: [f"{one['name']}: {one['items']} items of kind {one['kind']}, frozen in {one['folder']}"])


@contextmanager
def _told() -> Iterator[None]:
    from learner.evaluate.suite import SuiteError

    try:
        yield
    except OSError as error:
        raise Failure(
            f"{error.filename} cannot be used ({error.strerror}): expected a folder of suites, or a file of rows"
        ) from error
    except SuiteError as error:
        raise Failure(str(error)) from error
