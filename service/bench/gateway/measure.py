"""`ratchet bench gateway`: what Ratchet adds to an engine's answers, in time, in processor time and in memory.

The engine is a script that speaks vLLM's protocol, and the clients are another; both are processes of their own, on the same
machine, and costs of theirs are in every figure. So each figure is taken straight at the engine too, in turn with the
others, and what is added is the difference to that, round by round; the median of the rounds counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from learner.adapter import BASE
from service import bench
from service.bench.gateway.clean import count_clean_streams
from service.bench.gateway.levels import Level, added, measure_levels
from service.bench.gateway.processes import run_driver, run_engine
from service.bench.gateway.rates import measure_memory, measure_rates
from service.bench.gateway.size import Size
from service.bench.gateway.ways import DIRECT, LITELLM, RATCHET, Way, run_litellm, run_ratchet

Say = Callable[[str], None]


class GatewayFigures(Struct, frozen=True):
    """What has streams at once is by their number, and `measured` by way first: straight, through Ratchet, through LiteLLM."""

    added_first_token_ms: dict[str, dict[str, float]]  # Ratchet's, over the direct way's
    added_gap_ms: dict[str, dict[str, float]]
    clean_streams: dict[str, int]  # by way: the most that were held, all whole and with no gap of ten times the pace
    requests_per_s: dict[str, dict[str, float]]  # by way, then by the bound in ms that 99 of 100 answers kept
    cpu_ms_per_stream: dict[str, float | None]  # null where LiteLLM was not measured
    rss_mb: dict[str, float]  # Ratchet's: at rest, and after so many requests
    measured: dict[str, dict[str, Level]]
    size: Size
    machine: str
    commit: str
    seconds: float


def measure_gateway(folder: Path, size: Size, litellm: Path | None, say: Say = lambda line: None) -> GatewayFigures:
    """All figures. With `litellm`, a virtual environment that has it, through its proxy too. Raises `GatewayError`."""
    began = time.monotonic()
    say("starting Ratchet" + (" and LiteLLM" if litellm else ""))
    with run_driver() as driver, _run_ways(folder, litellm) as ways:
        ratchet = next(way for way in ways if way.name == RATCHET)
        say(f"memory over {size.requests} requests")  # first, while the process is new
        memory = measure_memory(driver, ratchet, size)
        measured = measure_levels(driver, ways, size, say)
        rates = measure_rates(driver, ways, size, say)
        clean = count_clean_streams(driver, ways, size, say)
    direct, through = measured[DIRECT], measured[RATCHET]
    cpu_at = str(size.cpu_streams)
    return GatewayFigures(
        added_first_token_ms={streams: added(direct[streams].first_ms, through[streams].first_ms) for streams in direct},
        added_gap_ms={streams: added(direct[streams].gap_ms, through[streams].gap_ms) for streams in direct},
        clean_streams=clean,
        requests_per_s=rates,
        cpu_ms_per_stream={name: measured[name][cpu_at].cpu_ms if name in measured else None for name in (RATCHET, LITELLM)},
        rss_mb=memory,
        measured=measured,
        size=size,
        machine=bench.machine(),
        commit=bench.commit(),
        seconds=time.monotonic() - began,
    )


@contextmanager
def _run_ways(folder: Path, litellm: Path | None) -> Iterator[Sequence[Way]]:
    """All of them, to one engine."""
    with ExitStack() as stack:
        port = stack.enter_context(run_engine())
        ways = [Way(DIRECT, port, BASE), stack.enter_context(run_ratchet(folder, port))]
        if litellm is not None:
            ways.append(stack.enter_context(run_litellm(folder, litellm, port)))
        yield ways
