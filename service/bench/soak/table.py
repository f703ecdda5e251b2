"""The table of `ratchet bench soak`."""

from __future__ import annotations

from service.bench.soak.run import SoakFigures
from service.bench.soak.watch import Growth


def soak_lines(found: SoakFigures) -> list[str]:
    back = found.back_s
    return [
        f"{found.minutes:g} minutes: {found.acknowledged} answers and {found.votes} votes acknowledged",
        *(f"  {count:8} {what}" for what, count in sorted(found.counts.items())),
        f"{found.swaps} swaps, {found.swaps_refused} refused while no engine was there; live at the end: {found.live}",
        f"{found.kills} engines killed" + (f", the next answer after {back.p50:.1f} s, {back.max:.1f} s at most" if back else ""),
        f"memory      {_growth(found.memory_mb)} MB",
        f"open files  {_growth(found.open_files)}",
        f"{found.problem_count} promises not kept",
        *(f"  {problem}" for problem in found.problems),
        f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s",
    ]


def _growth(found: Growth) -> str:
    return (
        f"{found.began:7.1f} after the first tenth, {found.ended:7.1f} at the end, tolerated {found.began + found.tolerance:7.1f}"
    )
