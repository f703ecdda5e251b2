"""Shows a running cycle in the terminal until it ends: stage by stage, with progress, loss, speed and the time that is left."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.client import Client

POLL_S = 0.5


def watch_cycle(client: Client, cycle_id: int, show: bool) -> dict[str, Any]:
    """The cycle's report once it has ended."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=console, disable=not show, transient=False) as bars:
        tasks: dict[str, Any] = {}
        while True:
            report: dict[str, Any] = client.get(f"/api/cycles/{cycle_id}")
            _draw(bars, tasks, report)
            if report["cycle"]["state"] != "running":
                return report
            time.sleep(POLL_S)


def _draw(bars: Progress, tasks: dict[str, Any], report: dict[str, Any]) -> None:
    now = report["progress"] or {}
    for stage in report["stages"]:
        name = stage["name"]
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=1, told="")
        if stage["ended_at_s"] is not None:
            bars.update(tasks[name], total=1, completed=1, told="")
        elif now.get("stage") == name and now.get("total"):
            bars.update(tasks[name], total=now["total"], completed=now["done"], told=tell(now))


def tell(progress: dict[str, Any]) -> str:
    """What is known beside the count, in one line."""
    parts = [progress["detail"]] if progress["detail"] else []
    if progress["loss"] is not None:
        parts.append(f"loss {progress['loss']:.3f}")
    if progress["rows_per_s"] is not None:
        parts.append(f"{progress['rows_per_s']:.1f} rows/s")
    if progress["eta_s"] is not None:
        minutes, seconds = divmod(round(progress["eta_s"]), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return ", ".join(parts)
