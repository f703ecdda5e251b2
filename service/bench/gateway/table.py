"""The figures of `ratchet bench gateway` for people."""

from __future__ import annotations

from service.bench.gateway.levels import middle
from service.bench.gateway.measure import GatewayFigures


def gateway_lines(found: GatewayFigures) -> list[str]:
    lines = [f"{'p50 and p99':24}{'first word':>22}{'gap':>22}{'CPU/stream':>14}"]
    for streams, first in found.added_first_token_ms.items():
        lines.append(f"{f'{streams} streams: added':24}{_added(first)}{_added(found.added_gap_ms[streams])}")
        for way, levels in found.measured.items():
            level = levels[streams]
            cpu = f"{level.cpu_ms:11.1f} ms" if level.cpu_ms is not None else ""
            lines.append(f"  {way:22}{_taken(middle(level.first_ms))}{_taken(middle(level.gap_ms))}{cpu}")
    for way, rates in found.requests_per_s.items():
        kept = "   ".join(f"p99 {bound:>3} ms {rate:6.0f}" for bound, rate in rates.items())
        lines.append(f"{way:8}  {found.clean_streams[way]:4} clean streams; requests/s at {kept}")
    memory = "   ".join(f"{name} {size_mb:.0f} MB" for name, size_mb in found.rss_mb.items())
    return [*lines, f"memory    {memory}", f"{found.machine}; commit {found.commit or '-'}; {found.seconds:.0f} s"]


def _added(taken_ms: dict[str, float]) -> str:
    return f"{taken_ms['p50']:+10.2f}{taken_ms['p99']:+9.2f} ms"


def _taken(taken_ms: dict[str, float]) -> str:
    return f"{taken_ms['p50']:10.2f}{taken_ms['p99']:9.2f} ms"
