"""`ratchet data stats` and `ratchet data dataset`: what the data is made of, and what cycles learnt from, for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from service.client import Client
from service.commands.folders import download_folder
from service.commands.terminal import Commands, Failure, command, group, show, writing
from storage.records import DocumentKind
from storage.texts import ANSWER

if TYPE_CHECKING:
    from learner.corpora.stats import Stats

PICTURES = (".svg", ".png")
SHOWN_ID = 12


def add_to(data: Commands) -> None:
    """Adds both to the group `data`."""
    stats = command(data, "stats", _stats, "size, domains, languages, lengths, duplicates and diversity of what is kept", json=True)
    stats.add_argument("--picture", metavar="FILE", type=Path, help="draw them too, as .svg or .png")
    stats.add_argument("--kind", choices=[*(kind.value for kind in DocumentKind), ANSWER], help="of this kind only")
    stats.add_argument("--domain", help="of this domain only")
    dataset = group(data, "dataset", "what cycles learnt from")
    command(dataset, "list", _list, "datasets, newest first", json=True)
    one = command(dataset, "show", _show, "what is in a dataset, what was left out, and what it was made by", json=True)
    one.add_argument("id", help="or its first characters")
    out = command(dataset, "export", _export, "write a dataset as a folder that Hugging Face's `datasets` loads", json=True)
    out.add_argument("id", help="or its first characters")
    out.add_argument("folder", metavar="DIR", type=Path, help="to make")
    out.add_argument("--with-people", action="store_true", help="with people's ids, instead of names that only this dataset uses")


def _stats(arguments: argparse.Namespace) -> None:
    from service.commands.stats import figures, print_stats

    picture: Path | None = arguments.picture
    if picture is not None and picture.suffix not in PICTURES:
        raise Failure(f"{picture} ends in {picture.suffix!r}: expected {' or '.join(PICTURES)}")
    asked = {"kind": arguments.kind, "domain": arguments.domain}
    with Client() as client:
        chosen = urlencode({name: value for name, value in asked.items() if value is not None})
        document = b"".join(client.download(f"/api/data/stats?{chosen}"))  # which may take longer than other answers
    if arguments.json:
        print(document.decode())
    else:
        print_stats(figures(document))
    if picture is not None:
        _draw(figures(document), picture)


def _draw(stats: Stats, file: Path) -> None:
    from learner.corpora.picture import draw

    drawn = draw(stats, "svg" if file.suffix == ".svg" else "png")
    with writing(file):
        file.write_bytes(drawn)


def _list(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get("/api/datasets"), lambda found: [_line(dataset) for dataset in found] or ["no datasets yet"])


def _show(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get(f"/api/datasets/{quote(arguments.id, safe='')}"), _lines)


def _line(dataset: dict[str, Any]) -> str:
    dropped = sum(dataset["dropped"].values())
    kept = "" if dataset["path"] else "  its file is not kept any more"
    return f"{dataset['id'][:SHOWN_ID]} cycle {dataset['cycle_id']:>4} {dataset['rows']:>6} rows, {dropped} dropped{kept}"


def _lines(contents: dict[str, Any]) -> list[str]:
    dataset = contents["dataset"]
    lines = [_line(dataset), f"    id        {dataset['id']}"]
    for split, kinds in contents["counts"].items():
        lines.append(f"    {split:<9} " + ", ".join(f"{number} {kind}" for kind, number in kinds.items()))
    lines += [f"    left out  {number} {reason}" for reason, number in sorted(dataset["dropped"].items())]
    lines += [f"    proved    no overlap with {name} {sha256[:SHOWN_ID]}" for name, sha256 in sorted(dataset["suites"].items())]
    return lines + [f"    made by   {name} = {msgspec.json.encode(value).decode()}" for name, value in dataset["recipe"].items()]


def _export(arguments: argparse.Namespace) -> None:
    path = f"/api/datasets/{quote(arguments.id, safe='')}/export?people={str(arguments.with_people).lower()}"
    with Client() as client:
        files = download_folder(client, path, arguments.folder)
    document = {"folder": str(arguments.folder), "files": files}
    show(arguments, document, lambda done: [f"{len(done['files'])} files in {done['folder']}"])
