"""`ratchet bench`: figures of this machine."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from service.commands.terminal import Commands, command, group, show
from service.config import default_home

if TYPE_CHECKING:
    from service.bench.data import DataFigures
    from service.bench.storage import StorageFigures


def add(commands: Commands) -> None:
    bench = group(commands, "bench", "figures of this machine")
    storage = command(bench, "storage", _storage, "acknowledged turns and votes per second, and pages", json=True)
    data = command(bench, "data", _data, "rows curated per second and in how much memory; what history costs a cycle", json=True)
    for measured in (storage, data):
        measured.add_argument("--quick", action="store_true", help="a few rows for a moment: to see that it works")
        measured.add_argument("--dir", type=Path, help="on the disk to measure (default: the disk of the home)")


def _storage(arguments: argparse.Namespace) -> None:
    from service.bench.storage import QUICK, Size, measure_storage

    with _folder(arguments) as folder:
        figures = measure_storage(Path(folder), QUICK if arguments.quick else Size())
    show(arguments, figures, _storage_lines)


def _data(arguments: argparse.Namespace) -> None:
    from service.bench.data import QUICK, Size, measure_data

    with _folder(arguments) as folder:
        figures = measure_data(Path(folder), QUICK if arguments.quick else Size())
    show(arguments, figures, _data_lines)


def _folder(arguments: argparse.Namespace) -> tempfile.TemporaryDirectory[str]:
    """A new one on the disk to measure, gone in the end."""
    parent: Path = arguments.dir or default_home()
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="bench-", dir=parent)


def _storage_lines(found: StorageFigures) -> list[str]:
    wait, page = found.commit_wait_ms, found.page_ms
    return [
        f"turns and votes, acknowledged      {found.acked_per_s:10.0f} /s   {found.acked_per_commit:.0f} a commit",
        f"bare sqlite3, as many commits      {found.bare_sqlite_per_s:10.0f} /s   ratio {found.ratio:.2f}",
        f"bare sqlite3, a commit for each    {found.bare_singly_per_s:10.0f} /s   ratio {found.ratio_singly:.2f}",
        f"wait for a commit, {found.size.writers} writers      p50 {wait['p50']:6.1f} ms   p99 {wait['p99']:.1f} ms",
        f"newest 50 conversations            10k {page['10k']:6.2f} ms   1m {page['1m']:.2f} ms   ratio {found.page_ratio:.2f}",
        f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s",
    ]


def _data_lines(found: DataFigures) -> list[str]:
    passed, growth, small, large = found.passed, found.growth, *found.size.messages
    return [
        f"rows curated in one pass   {found.rows_per_s:9.0f} /s  {passed.kept} of {passed.rows} kept, CPU {passed.cpu_s:.0f} s",
        f"memory of its processes    {found.peak_mb:9.0f} MB at most, {found.size.processes} helpers",
        *(f"  {count:10} {reason}" for reason, count in sorted(passed.dropped.items(), key=lambda one: -one[1])),
        f"a cycle's collect and curate, {found.size.votes} new votes: {growth.cycle_ms['10k']:.0f} ms beside {small} messages, "
        f"{growth.cycle_ms['1m']:.0f} ms beside {large}   ratio {found.cycle_growth:.2f}",
        f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s",
    ]
