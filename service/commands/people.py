"""`ratchet forget`: people who are to be forgotten, and the search for what is left of them."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from service.client import Client
from service.commands.terminal import Commands, Failure, command, show


def add(commands: Commands) -> None:
    forget = command(commands, "forget", _forget, "forget a person: rows, files, and what learnt from them", json=True)
    forget.add_argument("person", nargs="?", metavar="PERSON", help="the person's id")
    forget.add_argument("--verify", action="store_true", help="search for what is left of people who are forgotten")


def _forget(arguments: argparse.Namespace) -> None:
    if arguments.verify == (arguments.person is not None):
        raise Failure("expected either the id of a PERSON or --verify")
    with Client() as client:
        if not arguments.verify:
            show(arguments, client.delete(f"/api/people/{arguments.person}"), _receipt_lines)
            return
        search = client.get("/api/erasures/verify")
    show(arguments, search, _search_lines)
    if search["remains"]:
        sys.exit(1)


def _receipt_lines(receipt: dict[str, Any]) -> list[str]:
    gone = ", ".join(f"{count} {name}" for name, count in receipt["counts"].items() if count)
    lines = [f"{receipt['id']}: {gone}"]
    if receipt["cleaned_at_s"] is None:
        lines.append(f"learnt from them, to be replaced by the next cycle: {', '.join(receipt['adapters'])}")
    return lines


def _search_lines(search: dict[str, Any]) -> list[str]:
    where = f"{search['files']} files" + (f" and {search['tables']} tables" if search["tables"] else "")
    if not search["remains"]:
        return [f"nothing is left of {search['receipts']} people: {where} searched"]
    return [f"{remain['place']}: {remain['found']} times" for remain in search["remains"]]
