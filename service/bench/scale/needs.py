"""From costs to needs: plain arithmetic, whose assumptions are `Workload`. Nothing here measures."""

from __future__ import annotations

import math

from msgspec import Struct

from learner.config import CurateSettings, TrainSettings
from service.bench.scale.costs import Costs

DAY_S = 24 * 3600.0
LEVELS = {"1 thousand": 1e3, "1 million": 1e6, "100 million": 1e8}  # turns a day


class Workload(Struct, frozen=True):
    """What people do in a day, and how full machines are let become."""

    answer_tokens: float = 150.0
    tokens_per_frame: float = 1.0  # of a stream
    votes_per_turn: float = 0.1
    peak: float = 3.0  # turns a second in the busiest hour, by the day's mean
    busy: float = 0.7  # of what a part can do, the share that it is let do
    passes: int = TrainSettings().passes
    cycle_rows: int = CurateSettings().row_budget


class Turn(Struct, frozen=True):
    """What one costs."""

    service_ms: float  # of a core
    engine_s: float  # of the whole machine
    writer_ms: float
    bytes: float


class Cycle(Struct, frozen=True):
    """What one costs that is as large as settings let it be."""

    curate_s: float
    learn_s: float


class Needs(Struct, frozen=True):
    """At one level of turns a day. Counts are of machines like the measured one, or of processes on one core."""

    turns_per_s: float
    peak_turns_per_s: float
    peak_tokens_per_s: float
    services: int
    engines: int
    writer_share: float  # of what one writer can do, in the busiest hour
    gb_per_day: float
    gb_per_year: float
    backup_s: float  # of a year's records
    cycles_per_day: float  # that would take in every vote
    learners: int  # machines that do nothing but those


def turn_of(costs: Costs, work: Workload) -> Turn:
    return Turn(
        service_ms=costs.frame_cpu_ms * work.answer_tokens / work.tokens_per_frame,
        engine_s=work.answer_tokens / costs.engine_tokens_per_s,
        writer_ms=1000 / costs.writes_per_s,
        bytes=costs.turn_bytes,
    )


def cycle_of(costs: Costs, work: Workload) -> Cycle:
    return Cycle(work.cycle_rows / costs.curate_rows_per_s, work.cycle_rows * work.passes / costs.learn_rows_per_s)


def capacities(costs: Costs, work: Workload) -> dict[str, float]:
    """Turns a day that one of each part carries, the part that saturates first before the others."""
    turn, cycle = turn_of(costs, work), cycle_of(costs, work)
    at_once = DAY_S * work.busy / work.peak
    found = {
        "engine": at_once / turn.engine_s,
        "service": at_once / (turn.service_ms / 1000),
        "writer": at_once / (turn.writer_ms / 1000 * (1 + work.votes_per_turn)),
        "learner": DAY_S / (cycle.curate_s + cycle.learn_s) * work.cycle_rows / work.votes_per_turn,
    }
    return dict(sorted(found.items(), key=lambda part: part[1]))


def needs_of(turns_per_day: float, costs: Costs, work: Workload) -> Needs:
    carried, cycle = capacities(costs, work), cycle_of(costs, work)
    votes = turns_per_day * work.votes_per_turn
    gb_per_day = (turns_per_day * costs.turn_bytes + votes * costs.vote_bytes) / 1e9
    peak_turns_per_s = turns_per_day / DAY_S * work.peak
    cycles_per_day = votes / work.cycle_rows
    return Needs(
        turns_per_s=turns_per_day / DAY_S,
        peak_turns_per_s=peak_turns_per_s,
        peak_tokens_per_s=peak_turns_per_s * work.answer_tokens,
        services=math.ceil(turns_per_day / carried["service"]),
        engines=math.ceil(turns_per_day / carried["engine"]),
        writer_share=turns_per_day / carried["writer"] * work.busy,
        gb_per_day=gb_per_day,
        gb_per_year=gb_per_day * 365,
        backup_s=gb_per_day * 365 / costs.backup_gb_per_s,
        cycles_per_day=cycles_per_day,
        learners=math.ceil(cycles_per_day * (cycle.curate_s + cycle.learn_s) / DAY_S),
    )
