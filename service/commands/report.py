"""`ratchet cycle report` and `ratchet cycle transfer`: what cycles did, and what is kept of it."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from service.client import Client
from service.commands.comparison import told_change
from service.commands.terminal import Commands, command, show, writing
from service.languages import LANGUAGES

LINE_COLUMNS = 120  # of the paragraph
MEANS = {
    "average": "average margin of the newest version",
    "learnt": "learnt, each cycle on its own votes",
    "backward": "backward transfer",
    "forward": "forward transfer",
}


def add_to(cycle: Commands) -> None:
    """Adds both to the commands of `ratchet cycle`."""
    one = command(cycle, "report", _report, "why a cycle ended as it did, what it learnt from, moved and cost", json=True)
    one.add_argument("id", type=int)
    one.add_argument("--html", type=Path, metavar="FILE", help="also write the page with plots to this file")
    one.add_argument("--lang", choices=LANGUAGES, default="en", help="of that page (default: %(default)s)")
    command(cycle, "transfer", _transfer, "what versions are worth on the held-out votes of each cycle", json=True)


def _report(arguments: argparse.Namespace) -> None:
    with Client() as client:
        report = client.get(f"/api/cycles/{arguments.id}/report")
        if arguments.html is not None:
            page = b"".join(client.download(f"/api/cycles/{arguments.id}/report.html?lang={arguments.lang}"))
            with writing(arguments.html):
                arguments.html.write_bytes(page)
    show(arguments, report, _report_lines)


def _report_lines(report: dict[str, Any]) -> list[str]:
    cycle, votes = report["cycle"], report["votes"]
    lines = [f"cycle {cycle['id']} by {cycle['trigger']}, {cycle['method']}: {cycle['state']} {cycle['adapter'] or ''}".rstrip()]
    lines += textwrap.wrap(report["summary"], LINE_COLUMNS, initial_indent="  ", subsequent_indent="  ")
    lines += [f"    {reason}" for reason in cycle["reasons"]]
    lines += [
        f"  {count:>6} {kind} rows, {split}"
        for split, kinds in report["rows"].items()
        for kind, count in kinds.items()
        if split != "dropped"
    ]
    lines += [f"  {count:>6} left out: {reason}" for reason, count in (report["curated"] or {}).get("dropped", {}).items()]
    lines += [f"  {count:>6} wait for review: {reason}" for reason, count in report["held"].items()]
    lines += [_tried_line(one) for one in report["tried"]]
    if votes:
        lines.append(f"  held-out votes {votes['live']:+.4f} -> {votes['candidate']:+.4f}, bound {votes['lower_bound']:+.4f}")
    lines += [f"  {one['kind']}: {one['change']:+.4f} ± {one['error']:.4f} on {one['votes']} votes" for one in report["moved"]]
    lines += [_suite_line(one) for one in report["suites"]]
    lines += _path_lines(report["path"]) if report["path"] else []
    timings = ", ".join(f"{one['stage']} {one['seconds']:.1f} s" for one in report["timings"] if one["seconds"] is not None)
    return [*lines, f"  took {timings}"] if timings else lines


def _tried_line(one: dict[str, Any]) -> str:
    loss = "" if one["final_loss"] is None else f", loss {one['final_loss']:.4f}"
    stopped = f", ended early {one['stopped']}" if one["stopped"] else ""
    return f"  {one['adapter']} by {one['variant'] or 'the settings as they are'}: {one['verdict'] or 'not judged'}{loss}{stopped}"


def _suite_line(one: dict[str, Any]) -> str:
    turned = f"{one['won']} won, {one['lost']} lost"
    return f"  {one['name']:<20} {told_change(one)}  {turned}{'  (advisory)' if one['advisory'] else ''}"


def _path_lines(path: dict[str, Any]) -> list[str]:
    canary = path["canary"]
    lines = [f"  tried against {canary['against']}: {canary['state']}, with {path['share']:.0%} of the people"]
    return lines + [_move_line(move, move["at_s"] - canary["started_at_s"]) for move in path["moves"]]


def _move_line(move: dict[str, Any], after_s: float) -> str:
    known = move["judgement"] or {}
    votes = known.get("votes")
    told = f", votes {votes['delta']:+.3f} from {votes['lower']:+.3f} to {votes['upper']:+.3f}" if votes else ""
    people = f", {known['people']} people" if known else ""
    return f"    {after_s / 3600:>6.1f} h at {move['share']:.0%}: {move['step']} by {move['actor']}{people}{told}"


def _transfer(arguments: argparse.Namespace) -> None:
    with Client() as client:
        transfer = client.get("/api/transfer")
    show(arguments, transfer, _transfer_parts)


def _transfer_parts(transfer: dict[str, Any]) -> list[str | Table]:
    if not transfer["slices"]:
        return ["no cycle has used up held-out votes yet"]
    return [_table(transfer), *_mean_lines(transfer)]


def _table(transfer: dict[str, Any]) -> Table:
    table = Table(title="Margin of each version on the held-out votes of each cycle")
    table.add_column("version")
    for cycle, votes in zip(transfer["slices"], transfer["votes"], strict=True):
        table.add_column(f"cycle {cycle}\n{votes} votes", justify="right")
    for line in transfer["lines"]:
        cells = ("" if cell is None else f"{cell['margin']:+.3f}" for cell in line["cells"])
        table.add_row(Text(line["adapter"]), *cells)
    return table


def _mean_lines(transfer: dict[str, Any]) -> list[str]:
    lines = []
    for name, told in MEANS.items():
        mean = transfer[name]
        value = "not known" if mean["value"] is None else f"{mean['value']:+.4f}"
        missing = f", {mean['missing']} not scored" if mean["missing"] else ""
        lines.append(f"{told}: {value} (of {mean['terms']}{missing})")
    kept = transfer["kept"]
    return [*lines, f"kept of what was learnt before: {'not known' if kept is None else f'{kept:.0%}'}"]
