"""`ratchet adapters export`, `import` and `judge`: versions as folders that PEFT and vLLM load, and those made elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import quote

from service.client import Client
from service.commands.cycles import cycle_lines
from service.commands.folders import download_folder, packed
from service.commands.terminal import Commands, Failure, command, show


def add_to(adapters: Commands) -> None:
    out = command(adapters, "export", _export, "write a version as a folder that PEFT and vLLM load, with a model card", json=True)
    out.add_argument("name", metavar="NAME")
    out.add_argument("folder", metavar="DIR", type=Path, help="to make")
    into = command(adapters, "import", _import, "take in a PEFT folder of this base model as a candidate", json=True)
    into.add_argument("folder", metavar="DIR", type=Path)
    about = "evaluate an imported candidate, have the gate decide, and release it as the settings say"
    judged = command(adapters, "judge", _judge, about, json=True)
    judged.add_argument("name", metavar="NAME")


def _export(arguments: argparse.Namespace) -> None:
    with Client() as client:
        files = download_folder(client, f"/api/adapters/{quote(arguments.name, safe='')}/export", arguments.folder)
    document = {"name": arguments.name, "folder": str(arguments.folder), "files": files}
    show(arguments, document, lambda done: [f"{done['name']}: {len(done['files'])} files in {done['folder']}"])


def _import(arguments: argparse.Namespace) -> None:
    with Client() as client, packed(arguments.folder) as tar:
        try:
            taken = client.upload("/api/adapters/import", tar)
        except OSError as error:
            raise Failure(f"{arguments.folder} cannot be sent ({error.strerror}): expected a folder that can be read") from error
    show(arguments, taken, _taken_lines)


def _taken_lines(taken: dict[str, Any]) -> list[str]:
    return [f"{taken['name']} is {taken['state']}", f"next: ratchet adapters judge {taken['name']}"]


def _judge(arguments: argparse.Namespace) -> None:
    from service.watch import watch_cycle

    with Client() as client:
        begun = client.post(f"/api/adapters/{quote(arguments.name, safe='')}/judge")
        report = watch_cycle(client, begun["id"], show=not arguments.json)
    show(arguments, report, cycle_lines)
