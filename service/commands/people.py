"""`ratchet people` and `ratchet forget`: who is here, and who is to be forgotten, with the search for what is left."""

from __future__ import annotations

import argparse
import sys
from typing import Any
from urllib.parse import quote, urlencode

from rich.table import Table

from service.client import Client
from service.commands.tables import table, when
from service.commands.terminal import Commands, Failure, command, group, show

PAGE = 100


def add(commands: Commands) -> None:
    people = group(commands, "people", "who chats and votes")
    listed = command(people, "list", _list, "everybody who was ever here and is not forgotten, by id", json=True)
    listed.add_argument("--after", metavar="PERSON", default="", help="go on after this id")
    listed.add_argument("--limit", type=int, default=PAGE, metavar="N", help="at most so many (%(default)s)")
    new = command(people, "add", _add, "a person with a key of their own, which is shown this once", json=True)
    new.add_argument("name", metavar="NAME")
    forget = command(commands, "forget", _forget, "forget a person: rows, files, and what learnt from them", json=True)
    forget.add_argument("person", nargs="?", metavar="PERSON", help="the person's id")
    forget.add_argument("--verify", action="store_true", help="search for what is left of people who are forgotten")


def _list(arguments: argparse.Namespace) -> None:
    with Client() as client:
        query = urlencode({"after": arguments.after, "limit": arguments.limit})
        show(arguments, client.get(f"/api/people?{query}"), _page)


def _page(page: dict[str, Any]) -> list[str | Table]:
    people = page["data"]
    if not people:
        return ["nobody"]
    rows = [(one["id"], one["name"], when(one["created_at_s"]), "yes" if one["learn"] else "no") for one in people]
    more = [f"and more: --after {people[-1]['id']}"] if page["has_more"] else []
    return [table(("id", "name", "since", "learnt from"), rows), *more]


def _add(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.post("/api/people", {"name": arguments.name}), _key_lines)


def _key_lines(person: dict[str, Any]) -> list[str]:
    return [f"{person['id']} {person['name']}", f"key (shown this once): {person['key']}"]


def _forget(arguments: argparse.Namespace) -> None:
    if arguments.verify == (arguments.person is not None):
        raise Failure("expected either the id of a PERSON or --verify")
    with Client() as client:
        if not arguments.verify:
            show(arguments, client.delete(f"/api/people/{quote(arguments.person, safe='')}"), _receipt_lines)
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
