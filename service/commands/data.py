"""`ratchet data`: what can be learnt from, in from files and out to them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service.client import Client
from service.commands import dataset, documents, review
from service.commands.terminal import Commands, Failure, command, group, show, writing
from storage.interchange.incoming import ImportLayout
from storage.interchange.outgoing import ExportLayout

STDOUT = "-"
LAYOUTS = (
    "unpaired, preference and messages are TRL's for KTO, DPO and SFT; openai-chats and openai-preference are for OpenAI's "
    "fine-tuning; openwebui-chats is for Open WebUI"
)
NAMED = 10  # skipped records that people are shown


def add(commands: Commands) -> None:
    data = group(commands, "data", "what can be learnt from, in from files and out to them")
    out = command(data, "export", _export, "write conversations with feedback for other programs", json=True)
    out.add_argument("--layout", required=True, choices=[layout.value for layout in ExportLayout], help=LAYOUTS)
    out.add_argument("--everyone", action="store_true", help="also people who do not let cycles learn from them")
    out.add_argument("file", metavar="FILE", help=f"where to, or {STDOUT} for standard output without a summary")
    into = command(
        data, "import", _import, "take in documents, or conversations with feedback; the same again adds nothing", json=True
    )
    documents.add_to(data, into, [layout.value for layout in ImportLayout])
    dataset.add_to(data)
    review.add_to(data)


def _export(arguments: argparse.Namespace) -> None:
    path = f"/api/data/export?layout={arguments.layout}&everyone={str(arguments.everyone).lower()}"
    with Client() as client:
        chunks = client.download(path)
        if arguments.file == STDOUT:
            _copy(chunks, sys.stdout.buffer, arguments)
            return
        lines = _write(chunks, Path(arguments.file), arguments)
    document = {"layout": arguments.layout, "file": arguments.file, "lines": lines}
    show(arguments, document, lambda done: [f"{done['lines']} lines in {done['file']}"])


def _write(chunks: Iterator[bytes], file: Path, arguments: argparse.Namespace) -> int:
    """Under another name until it is whole, so that half a file is not taken for an export."""
    part = file.with_name(f"{file.name}.part")
    try:
        with writing(file):
            with part.open("wb") as stream:
                lines = _copy(chunks, stream, arguments)
            os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
    return lines


def _copy(chunks: Iterator[bytes], stream: BinaryIO, arguments: argparse.Namespace) -> int:
    lines = 0
    with _progress(arguments) as bars:
        task = bars.add_task("exporting")
        for chunk in chunks:
            stream.write(chunk)
            lines += chunk.count(b"\n")
            bars.update(task, description=f"exporting: {lines} lines")
    return lines


def _import(arguments: argparse.Namespace) -> None:
    if arguments.layout not in list(ImportLayout):
        return documents.import_documents(arguments)
    if said := documents.said(arguments):
        arguments.misuse(f"layout {arguments.layout} brings in people's conversations, about which nothing is said: no --{said[0]}")
    return _import_conversations(arguments)


def _import_conversations(arguments: argparse.Namespace) -> None:
    with Client() as client, _progress(arguments) as bars:
        bars.add_task(f"importing {arguments.file}")
        try:
            imported = client.upload(f"/api/data/import?layout={arguments.layout}", arguments.file)
        except OSError as error:
            raise Failure(f"{arguments.file} cannot be read ({error.strerror}): expected a file to import") from error
    show(arguments, imported, _import_lines)


def _import_lines(imported: dict[str, Any]) -> list[str]:
    new = ", ".join(f"{count} {kind}" for kind, count in imported["added"].items())
    lines = [f"{imported['records']} records: {new} added, {imported['skipped']} skipped"]
    lines += [f"     record {one['record']}: {one['reason']}" for one in imported["first_skipped"][:NAMED]]
    return lines + ([f"     and {imported['skipped'] - NAMED} more"] if imported["skipped"] > NAMED else [])


def _progress(arguments: argparse.Namespace) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), disable=arguments.json)
