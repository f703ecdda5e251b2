"""`ratchet adapters compare`: two versions by what suites say of them, and by their answers to a prompt."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlencode

from rich.table import Table

from service.client import TRANSFER_TIMEOUT_S, Client
from service.commands.comparison import compared_lines
from service.commands.tables import table
from service.commands.terminal import Commands, command, show, waiting


def add_to(adapters: Commands) -> None:
    about = "two versions by the scores that there are, and by their answers to a prompt; `eval compare` scores and judges"
    compare = command(adapters, "compare", _compare, about, json=True)
    compare.add_argument("a", metavar="A", help="a version, or base")
    compare.add_argument("b", metavar="B", help="the version beside it")
    compare.add_argument("--ask", metavar="PROMPT", help="have both answer this; nothing of it is kept or learnt from")


def _compare(arguments: argparse.Namespace) -> None:
    versions = [arguments.a, arguments.b]
    with Client() as client:
        compared = client.get(f"/api/suites/compare?{urlencode({'a': arguments.a, 'b': arguments.b})}")
        asked = None
        if arguments.ask is not None:
            messages = [{"role": "user", "content": arguments.ask}]
            with waiting("asking both"):
                asked = client.post("/api/adapters/ask", {"versions": versions, "messages": messages}, TRANSFER_TIMEOUT_S)
    show(arguments, {"suites": compared, "asked": asked}, _parts)


def _parts(found: dict[str, Any]) -> list[str | Table]:
    parts: list[str | Table] = [*compared_lines(found["suites"])]
    if found["asked"] is not None:
        answers = found["asked"]
        parts += ["", table([one["version"] for one in answers], [[one["content"] for one in answers]])]
    return parts
