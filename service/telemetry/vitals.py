"""How things stand, as `/metrics` tells it when it is asked: who answers, what the loop waits for, and whether all is well."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.assignment import Standing
from learner.evidence import Condition
from learner.schedule import Due, Scheduler
from service.fleet import Fleet
from service.health import Health
from service.router import Router
from service.supervisor import EngineState
from storage import deliveries, waits
from storage.database import Database, UnavailableError
from storage.records import CycleState
from storage.tallies import Tallies, tally
from storage.waits import Seen

Waited = Callable[[Sequence[float], Sequence[float]], None]  # told how long votes waited, to be eligible and to be live
Values = Sequence[tuple[tuple[str, ...], float]]  # of a figure, by the values of its labels
ENDS = tuple(state for state in CycleState if state is not CycleState.RUNNING)
WAYS = ("evidence", "interval", "blocks")  # fields of `Due`


class Loop(Struct, frozen=True):
    """What the database says of the loop, and what a cycle waits for."""

    tallies: Tallies
    due: Due
    undelivered: int  # words to webhooks


class Vitals(Struct, frozen=True):
    """How things stand at one time. `loop` is None before the database has first answered."""

    standing: Standing
    engines: Mapping[EngineState, int]
    engine_restarts: int
    problems: Mapping[str, str]  # by part; empty where it is well
    ready: bool
    lag_s: float
    free_bytes: int
    total_bytes: int
    writer_waiting: int
    commits: int
    leads: bool
    next_look_at_s: float | None
    now_s: float
    loop: Loop | None = None

    @property
    def shares(self) -> dict[str, tuple[str, float]]:
        """Version → its part, and the share of the people that it answers. The version that a rollback returns to answers none."""
        tried = {one.adapter: ("canary", one.share) for one in self.standing.tried}
        live = 1.0 - sum(share for _, share in tried.values())
        previous = {self.standing.previous: ("previous", 0.0)} if self.standing.previous else {}
        return previous | tried | {self.standing.live: ("live", live)}


class Watcher:
    """Looks at all of it; at the database once in `refresh_s` at most, and never while it does not answer."""

    def __init__(
        self,
        database: Database,
        scheduler: Scheduler,
        fleet: Fleet,
        router: Router,
        health: Health,
        clock: Callable[[], float],
        waited: Waited,
        refresh_s: float,
    ) -> None:
        self._database, self._scheduler, self._fleet, self._router = database, scheduler, fleet, router
        self._health, self._clock, self._waited, self._refresh_s = health, clock, waited, refresh_s
        self._loop: Loop | None = None
        self._seen: Seen | None = None  # of what votes wait for; what was there at the start nobody waited for here
        self._looked_at = -refresh_s
        self._looking = asyncio.Lock()

    async def look(self) -> Vitals:
        """How things stand now."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= self._refresh_s and "database" not in self._health.problems:
                with suppress(UnavailableError, DBAPIError):  # what was seen last is better than nothing
                    self._loop = await self._look_at_loop()
                self._looked_at = time.monotonic()
        health, scheduler = self._health, self._scheduler
        space = health.space
        return Vitals(
            standing=self._router.standing,
            engines=Counter(supervisor.state for supervisor in self._fleet.supervisors),
            engine_restarts=self._fleet.restarts,
            problems=health.problems,
            ready=health.ready,
            lag_s=health.lag_s,
            free_bytes=space.free,
            total_bytes=space.total,
            writer_waiting=self._database.waiting,
            commits=self._database.commits,
            leads=scheduler.leads,
            next_look_at_s=scheduler.next_look_at_s,
            now_s=self._clock(),
            loop=self._loop,
        )

    async def _look_at_loop(self) -> Loop:
        seen = self._seen

        async def read(connection: AsyncConnection) -> tuple[Tallies, int, Seen, list[float], list[float]]:
            now = await waits.select_seen(connection)
            eligible = await waits.select_waits_to_eligible(connection, (seen or now).dataset_at_s)
            live = await waits.select_waits_to_live(connection, (seen or now).release_id)
            return await tally(connection), await deliveries.count_waiting(connection), now, eligible, live

        tallies, undelivered, self._seen, eligible, live = await self._database.read(read)
        if self._scheduler.leads:  # of services that share a database one tells
            self._waited(eligible, live)
        return Loop(tallies, await self._scheduler.outlook(), undelivered)


class VitalsCollector(Collector):
    """`vitals` as figures; none before there are any."""

    vitals: Vitals | None = None

    def collect(self) -> Iterator[Metric]:
        if self.vitals is not None:
            yield from _versions(self.vitals)
            yield from _parts(self.vitals)
            if self.vitals.loop is not None:
                yield from _loop(self.vitals.loop, self.vitals.now_s)


def _versions(vitals: Vitals) -> Iterator[Metric]:
    yield _gauge("ratchet_live_version_info", "The version that is live.", [((vitals.standing.live,), 1)], "version")
    shares = [((version, part), share) for version, (part, share) in vitals.shares.items()]
    yield _gauge("ratchet_version_share", "Of the people, by the version that answers them.", shares, "version", "part")


def _parts(vitals: Vitals) -> Iterator[Metric]:
    engines = [((state.value,), vitals.engines.get(state, 0)) for state in EngineState]
    yield _gauge("ratchet_engines", "Engines by state.", engines, "state")
    yield _counter("ratchet_engine_restarts", "Starts of engines after the first.", _alone(vitals.engine_restarts))
    yield _gauge("ratchet_ready", "Whether people can be answered.", _alone(vitals.ready))
    healthy = [((part,), part not in vitals.problems) for part in Health.PARTS]
    yield _gauge("ratchet_healthy", "Whether a part is well.", healthy, "part")
    yield _gauge("ratchet_loop_lag_seconds", "How late the event loop was at worst in the last minute.", _alone(vitals.lag_s))
    yield _gauge("ratchet_disk_free_bytes", "Free on the home's disk.", _alone(vitals.free_bytes))
    yield _gauge("ratchet_disk_size_bytes", "Of the home's disk.", _alone(vitals.total_bytes))
    yield _gauge("ratchet_writer_waiting", "Writes that wait for the one that writes.", _alone(vitals.writer_waiting))
    yield _counter("ratchet_commits", "Commits to the database, of one or more writes each.", _alone(vitals.commits))
    yield _gauge("ratchet_scheduler_leads", "Whether it is this service that runs cycles.", _alone(vitals.leads))
    if vitals.next_look_at_s is not None:
        words = "When it is looked next whether a cycle is due."
        yield _gauge("ratchet_scheduler_next_look_timestamp_seconds", words, _alone(vitals.next_look_at_s))


def _loop(loop: Loop, now_s: float) -> Iterator[Metric]:
    tallies = loop.tallies
    conditions = [(way, one) for way in WAYS for one in _conditions(loop.due, way)]
    for side, words in (("have", "How much there is"), ("need", "How much it takes")):
        values = [((way, one.what), float(getattr(one, side))) for way, one in conditions]
        yield _gauge(f"ratchet_condition_{side}", f"{words} of what a cycle needs to start by itself.", values, "way", "condition")
    ends = [((end.value,), tallies.cycles.get(end, 0)) for end in ENDS]
    yield _gauge("ratchet_cycles", "Cycles that ended, by how.", ends, "state")
    running_s = 0.0 if tallies.running_since_s is None else max(now_s - tallies.running_since_s, 0.0)
    yield _gauge("ratchet_cycle_running_seconds", "Since the running cycle began; 0 while none runs.", _alone(running_s))
    if tallies.last_ended_at_s is not None:
        yield _gauge("ratchet_cycle_ended_timestamp_seconds", "When the last cycle ended.", _alone(tallies.last_ended_at_s))
    verdicts = [((verdict,), count) for verdict, count in tallies.verdicts.items()]
    yield _counter("ratchet_verdicts", "The gate's verdicts.", verdicts, "verdict")
    yield _counter("ratchet_releases", "Moves of the live pointer.", _alone(tallies.releases))
    yield _counter("ratchet_rollbacks", "Moves of it to a version that had been live before.", _alone(tallies.rollbacks))
    stages = SummaryMetricFamily("ratchet_stage_seconds", "What stages of cycles took.", labels=["stage"])
    for stage, passed in tallies.stages.items():
        stages.add_metric([stage.value], passed.times, passed.seconds)
    yield stages
    yield _gauge("ratchet_webhooks_waiting", "Words to webhooks that they have not taken yet.", _alone(loop.undelivered))


def _conditions(due: Due, way: str) -> Sequence[Condition]:
    found: Sequence[Condition] = getattr(due, way)
    return found


def _alone(value: float) -> Values:
    """The value of a figure without labels."""
    return [((), value)]


def _gauge(name: str, words: str, values: Values, *labels: str) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, float(value))
    return family


def _counter(name: str, words: str, values: Values, *labels: str) -> Metric:
    family = CounterMetricFamily(name, words, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, float(value))
    return family
