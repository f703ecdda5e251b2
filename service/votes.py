"""`/api/votes`: the share of thumbs up of each version over time, as far as it is known."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Struct

from learner.statistics import share_interval
from storage import votes
from storage.database import Database
from storage.votes import DayVotes

DAY_S = 86_400.0
Days = Annotated[int, QueryParameter(ge=1, le=366)]


class Share(Struct, frozen=True):
    """`share` of the thumbs are up; the truth is between `lower` and `upper` with a confidence of 95 %, were all thumbs
    independent: one person's are not."""

    adapter: str
    up: int
    down: int
    share: float
    lower: float
    upper: float


class DayShare(Share, frozen=True, kw_only=True):
    """Of the thumbs that were given on one day."""

    day: str  # ISO date, UTC


class Votes(Struct, frozen=True):
    """`days` by date, each with the versions that had thumbs; `totals` of all these days, by version."""

    days: list[DayShare]
    totals: list[Share]


@get("/votes")
async def show_votes(database: NamedDependency[Database], clock: NamedDependency[Callable[[], float]], days: Days = 30) -> Votes:
    """Thumbs of the last `days` days on answers of each version, of people who let cycles learn from them.

    A thumb counts on the day on which it was given; the answers behind it are `/api/messages?version=…&thumb=…`.
    """
    since_s = clock() - days * DAY_S
    found = await database.read(lambda connection: votes.select_day_votes(connection, since_s))
    return await asyncio.to_thread(_judge, found)  # an exact interval takes a millisecond


def _judge(found: Sequence[DayVotes]) -> Votes:
    totals: defaultdict[str, list[DayVotes]] = defaultdict(list)
    for one in found:
        totals[one.adapter].append(one)
    return Votes(
        [DayShare(one.adapter, *_share(one.up, one.down), day=one.day) for one in found],
        [
            Share(adapter, *_share(sum(one.up for one in ones), sum(one.down for one in ones)))
            for adapter, ones in sorted(totals.items())
        ],
    )


def _share(up: int, down: int) -> tuple[int, int, float, float, float]:
    return up, down, up / (up + down), *share_interval(up, up + down)


HANDLERS = [show_votes]
