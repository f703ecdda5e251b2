"""Tables and progress for people: plain columns, states in colours where there are any."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from rich.filesize import decimal
from rich.progress import ProgressColumn, Task
from rich.table import Table
from rich.text import Text

STYLES = {
    "live": "bold green",
    "promoted": "green",
    "ready": "green",
    "ok": "green",
    "good": "green",
    "canary": "cyan",
    "running": "cyan",
    "starting": "yellow",
    "warning": "yellow",
    "held": "yellow",
    "rotated": "yellow",
    "waiting_approval": "yellow",
    "inconclusive": "yellow",
    "failed": "red",
    "revoked": "red",
    "problem": "bold red",
    "quarantined": "red",
    "rolled_back": "red",
}  # of words that say a state


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = (), title: str | None = None) -> Table:
    """Columns under their names; those named in `right` hold numbers. A cell that is a state has its colour."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", title=title, title_justify="left")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


class Rate(ProgressColumn):
    """How fast a task goes, in its field `unit`: "B" for bytes."""

    def render(self, task: Task) -> Text:
        if task.speed is None:
            return Text("")
        unit = str(task.fields.get("unit", ""))
        return Text(f"{decimal(int(task.speed))}/s" if unit == "B" else f"{task.speed:.0f}{unit}/s")


def when(at_s: float | None) -> str:
    """Seconds since the Unix epoch as a time, UTC; "" for None."""
    return "" if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M")


def _cell(value: object) -> Text:
    """As text: a "[" in a name is no markup."""
    words = "" if value is None else str(value)
    return Text(words, style=STYLES.get(words, ""))
