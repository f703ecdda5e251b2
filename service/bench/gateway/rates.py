"""Short answers one after another: how many a second while hardly any waits long, and what is left of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from service.bench.gateway.levels import whole
from service.bench.gateway.processes import Driver
from service.bench.gateway.size import SHORT_FRAMES, Size
from service.bench.gateway.spec import Load, Loaded
from service.bench.gateway.ways import Way
from service.bench.learner.run import turned

ENDLESS_S = 1e9
WARM_UP_REQUESTS = 100
MEMORY_CLIENTS = 8


def measure_rates(driver: Driver, ways: Sequence[Way], size: Size, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """By way, then by bound: the most answers a second of which 99 in 100 kept it, 0 where not even one client's did."""
    found: dict[str, dict[int, list[Loaded]]] = {way.name: {clients: [] for clients in size.clients} for way in ways}
    for number in range(size.rate_rounds):
        for clients in size.clients:
            say(f"requests, round {number + 1} of {size.rate_rounds}: {clients} clients")
            for way in turned(ways, number):
                load = Load(way.port, way.model, clients, SHORT_FRAMES, streamed=False, seconds=size.rate_s)
                found[way.name][clients].append(whole(way, load, driver.run(load)))
    return {
        name: {str(bound_ms): best_rate(by_clients.values(), bound_ms) for bound_ms in size.bounds_ms}
        for name, by_clients in found.items()
    }


def best_rate(by_clients: Iterable[Sequence[Loaded]], bound_ms: float) -> float:
    """The highest of what so many clients got, each the median of its rounds, as is the time that is held to the bound."""
    kept = [rounds for rounds in by_clients if median(one.answer_ms.p99 for one in rounds) <= bound_ms]
    return max((median(one.whole / one.seconds for one in rounds) for rounds in kept), default=0.0)


def measure_memory(driver: Driver, way: Way, size: Size) -> dict[str, float]:
    """MB at rest, which is after a few requests, and after a tenth and all of the requests."""
    usage = way.usage

    def ask(answers: int) -> float:
        load = Load(way.port, way.model, MEMORY_CLIENTS, SHORT_FRAMES, streamed=False, seconds=ENDLESS_S, answers=answers)
        whole(way, load, driver.run(load))
        return usage.rss_mb()

    early = size.requests // 10
    rest, after_1k = ask(min(WARM_UP_REQUESTS, size.requests)), ask(early)
    return {"rest": rest, "after_1k": after_1k, "after_10k": ask(size.requests - early)}
