"""`ratchet keys`: the keys that people, operators and admins come in with."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote, urlencode

from rich.table import Table

from service.client import Client
from service.commands.tables import table, when
from service.commands.terminal import Commands, command, group, show
from service.scopes import SCOPES
from storage.records import KeyRole

PAGE = 100
DAY_S, HOUR_S = 86400.0, 3600.0
COLUMNS = ("id", "begins", "for", "role", "scopes", "state", "made", "ends", "last used", "person")


def add(commands: Commands) -> None:
    keys = group(commands, "keys", "what people, operators and admins come in with")
    listed = command(keys, "list", _list, "all keys, newest first, but for the one that the home came with", json=True)
    listed.add_argument("--person", metavar="PERSON", default="", help="only this person's")
    listed.add_argument("--after", metavar="KEY", default="", help="go on after this id")
    listed.add_argument("--limit", type=int, default=PAGE, metavar="N", help="at most so many (%(default)s)")
    new = command(keys, "create", _create, "a new key, which is shown this once", json=True)
    new.add_argument("label", metavar="LABEL", help="what it is for; also the name of its person, if that is somebody new")
    new.add_argument("--role", choices=[role.value for role in KeyRole], default=KeyRole.PERSON.value, help="(%(default)s)")
    new.add_argument("--person", metavar="PERSON", default="", help="whose it is; somebody new where it is not said")
    about = "; ".join(f"{name}: {what}" for name, what in SCOPES.items())
    new.add_argument("--scope", action="append", choices=[*SCOPES], default=[], help=f"only for this, several times over ({about})")
    new.add_argument("--days", type=float, metavar="N", help="how long it is good; for ever where it is not said")
    rotate = command(keys, "rotate", _rotate, "a successor, beside which the key works on for a while", json=True)
    rotate.add_argument("key", metavar="KEY", help="its id")
    rotate.add_argument("--overlap-hours", type=float, metavar="N", help="how long (as the settings say)")
    revoke = command(keys, "revoke", _revoke, "end a key, and the browsers signed in with it, at once", json=True)
    revoke.add_argument("key", metavar="KEY", help="its id")


def _list(arguments: argparse.Namespace) -> None:
    asked = {"person": arguments.person, "limit": arguments.limit} | ({"after": arguments.after} if arguments.after else {})
    with Client() as client:
        show(arguments, client.get(f"/api/keys?{urlencode(asked)}"), _page)


def _create(arguments: argparse.Namespace) -> None:
    wanted = {"label": arguments.label, "role": arguments.role, "person_id": arguments.person, "scopes": arguments.scope}
    if arguments.days is not None:
        wanted["expires_in_s"] = arguments.days * DAY_S
    with Client() as client:
        show(arguments, client.post("/api/keys", wanted), _made)


def _rotate(arguments: argparse.Namespace) -> None:
    overlap = {} if arguments.overlap_hours is None else {"overlap_s": arguments.overlap_hours * HOUR_S}
    with Client() as client:
        show(arguments, client.post(f"/api/keys/{quote(arguments.key, safe='')}/rotate", overlap), _made)


def _revoke(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.post(f"/api/keys/{quote(arguments.key, safe='')}/revoke"), lambda card: [f"{card['id']} is revoked"])


def _page(page: dict[str, Any]) -> list[str | Table]:
    if not page["data"]:
        return ["no keys but the one that the home came with"]
    more = [f"and more: --after {page['last_id']}"] if page["has_more"] else []
    return [table(COLUMNS, map(_row, page["data"])), *more]


def _row(card: dict[str, Any]) -> tuple[object, ...]:
    times = (when(card["created_at_s"]), _time(card["expires_at_s"]), _time(card["last_used_at_s"]))
    scopes = ", ".join(card["scopes"]) or "all"
    return (card["id"], card["prefix"], card["label"], card["role"], scopes, card["state"], *times, card["person_id"])


def _time(at_s: float | None) -> str:
    return "never" if at_s is None else when(at_s)


def _made(made: dict[str, Any]) -> list[str]:
    card = made["card"]
    return [f"{card['id']} {card['label']}, {card['role']}", f"key (shown this once): {made['key']}"]
