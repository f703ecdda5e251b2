"""`ratchet adapters`: versions of the model."""

from __future__ import annotations

import argparse

from service.client import Client
from service.commands.terminal import Commands, command, group, show


def add(commands: Commands) -> None:
    adapters = group(commands, "adapters", "versions of the model")
    command(adapters, "list", _adapters_list, "versions, newest first", json=True)
    command(adapters, "rollback", _adapters_rollback, "return to the version before the live one", json=True)


def _adapters_list(arguments: argparse.Namespace) -> None:
    with Client() as client:
        found = client.get("/api/adapters")
        show(
            arguments,
            found,
            lambda rows: [f"{row['name']:<16} {row['state']:<10} from {row['parent'] or '-'}" for row in rows],
        )


def _adapters_rollback(arguments: argparse.Namespace) -> None:
    with Client() as client:
        moved = client.post("/api/adapters/rollback")
        show(arguments, moved, lambda row: [f"live: {row['adapter']} (before: {row['previous']})"])
