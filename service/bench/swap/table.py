"""The table of `ratchet bench swap`."""

from __future__ import annotations

from service.bench.spread import Spread
from service.bench.swap.figures import SwapFigures


def swap_lines(found: SwapFigures) -> list[str]:
    first, tenth = found.first_answer_ms, found.tenth_answer_ms
    return [
        f"{found.size.swaps} swaps and rollbacks under {found.size.streams} streams: {found.answers} answers, "
        f"{found.failed} failed, {found.mixed} of two versions, {found.misrouted} by another than the live one",
        *(f"    failed: {reason}" for reason in found.reasons),
        f"flip, from the call to new requests  {_spread(found.flip_ms)}   of it the commit {_spread(found.commit_ms)}",
        f"load of an adapter, r={found.size.rank:<15} {_spread(found.load_ms)}",
        f"rollback, whole                      {_spread(found.rollback_ms)}",
        f"longest gap in a stream, above usual {_spread(found.stall_ms)}   when nothing moves {_spread(found.quiet_stall_ms)}",
        f"first frame after a swap             {_spread(first)}   of the tenth answer {_spread(tenth)}",
        *_restart_lines(found),
        f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s",
    ]


def _spread(found: Spread) -> str:
    return f"p50 {found.p50:7.1f} ms  max {found.max:7.1f} ms"


def _restart_lines(found: SwapFigures) -> list[str]:
    if found.restart_s is None:
        return []
    ratio = f"{found.interruption_ratio:.0f} times the longest gap above usual"
    return [f"without answers in a restart         {found.restart_s:8.1f} s    {ratio}"]
