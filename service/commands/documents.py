"""Documents by `ratchet data`: `import` of files in many layouts, and `sources`, what came in and from where."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from learner.corpora.spec import Layout
from service.client import Client, ClientError
from service.commands.tables import Rate, table
from service.commands.terminal import Commands, Failure, command, show
from storage.records import DocumentKind

NAMED = 10  # skipped records that people are shown
ABOUT = ("kind", "domain", "language", "source", "licence")
NEEDED = ABOUT[1:]
COLUMNS = ("kind", "domain", "language", "source", "licence", "documents")
LAYOUTS = (
    "auto tells it by the name; openwebui-chats, openwebui-feedback and messages bring in people's conversations with feedback, "
    "every other one documents. OpenAI messages, ShareGPT, Alpaca and TRL rows are told by their fields, "
    "in jsonl, json, parquet or csv"
)
KINDS = (
    "running text and the field `text` are a corpus; messages, conversations and ChatterBot's YAML chats; instruction, prompt or "
    "question with an answer demonstrations; chosen and rejected preferences. Where unset the first record decides for the file"
)


def add_to(data: Commands, into: argparse.ArgumentParser, layouts_of_conversations: list[str]) -> None:
    """Declares `sources`, and what `import` takes."""
    into.add_argument("--layout", default=Layout.AUTO.value, choices=[*layouts_of_conversations, *Layout], help=LAYOUTS)
    into.add_argument("--kind", choices=list(DocumentKind), help=KINDS)
    into.add_argument("--domain", help="of documents: what they are about, like cooking; mixing weights go by it")
    into.add_argument("--language", help="of documents: its code, like en or pt-BR; und where it is unknown")
    into.add_argument("--source", help="of documents: where they come from; they can be taken back by it")
    into.add_argument("--licence", help="of documents: under which they may be learnt from, like CC-BY-4.0")
    into.add_argument("file", metavar="FILE", type=Path, help="may be compressed with gzip, bzip2 or xz")
    into.set_defaults(misuse=into.error)
    command(data, "sources", _sources, "list what documents there are, and where they came from", json=True)


def said(arguments: argparse.Namespace) -> list[str]:
    """What was said about documents."""
    return [name for name in ABOUT if getattr(arguments, name) is not None]


def import_documents(arguments: argparse.Namespace) -> None:
    """Sends the file and shows how far it is."""
    missing = [f"--{name}" for name in NEEDED if getattr(arguments, name) is None]
    if missing:
        arguments.misuse(f"documents need {', '.join(missing)}")
    about = {name: getattr(arguments, name) for name in said(arguments)}
    query = urlencode({**about, "layout": arguments.layout, "name": arguments.file.name})
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Client() as client, Progress(*columns, console=Console(stderr=True), disable=arguments.json) as bars:
        try:
            imported = _send(client, f"/api/documents/import?{query}", arguments.file, bars)
        except OSError as error:
            raise Failure(f"{arguments.file} cannot be read ({error.strerror}): expected a file to import") from error
    show(arguments, imported, _lines)


def _send(client: Client, path: str, file: Path, bars: Progress) -> Any:
    size = file.stat().st_size
    steps = {"sending": bars.add_task(f"sending {file.name}", total=size, count="", unit="B")}
    for event in client.upload_lines(path, file, lambda count: bars.advance(steps["sending"], count)):
        if error := event.get("error"):
            raise ClientError(error["message"])
        if imported := event.get("imported"):
            return imported
        _show_step(bars, steps, event["progress"])
    raise ClientError(f"the service broke off before all of {file} was in: send it again, it goes on from there")


def _show_step(bars: Progress, steps: dict[str, TaskID], at: dict[str, Any]) -> None:
    step, of = at["step"], at["of"] or None
    if step not in steps:
        steps[step] = bars.add_task(step, total=of, count="", unit=" records")
    added = f", {at['added']} added" if of else ""
    count = f"{at['records']}{f' of {of}' if of else ''} records{added}, {at['skipped']} skipped"
    bars.update(steps[step], completed=at["records"], count=count)


def _lines(imported: dict[str, Any]) -> list[str]:
    went_on = f", after the {imported['after']} that were read before" if imported["after"] else ""
    counts = f"{imported['added']} documents added, {imported['known']} there already, {imported['skipped']} records skipped"
    lines = [f"{imported['records']} records of kind {imported['kind']}{went_on}: {counts}"]
    lines += [f"     {one['place']}: {one['reason']}" for one in imported["first_skipped"][:NAMED]]
    return lines + ([f"     and {imported['skipped'] - NAMED} more"] if imported["skipped"] > NAMED else [])


def _sources(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get("/api/documents/sources"), _table)


def _table(found: list[dict[str, Any]]) -> list[Table]:
    return [table(COLUMNS, ([one[column] for column in COLUMNS] for one in found), right=["documents"])]
