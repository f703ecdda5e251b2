"""`/api/engine/minutes`: how many answers were begun in each minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Struct

from storage import pace
from storage.database import Database
from storage.pace import Timed

MINUTE_S = 60.0
Minutes = Annotated[int, QueryParameter(ge=1, le=1440)]


class Minute(Struct, frozen=True):
    """Answers that were begun in the minute from `at_s` on."""

    at_s: float
    answers: int
    errors: int  # of the answers: the engine broke them off


@get("/engine/minutes")
async def show_minutes(
    database: NamedDependency[Database], clock: NamedDependency[Callable[[], float]], minutes: Minutes = 60
) -> list[Minute]:
    """Of each of the last `minutes`, oldest first, the last one not over yet: from as many messages as `/api/engine` looks at."""
    end_s = (clock() // MINUTE_S + 1) * MINUTE_S
    since_s = end_s - minutes * MINUTE_S
    return count(await database.read(lambda connection: pace.select_timed(connection, since_s)), since_s, minutes)


def count(timed: Sequence[Timed], since_s: float, minutes: int) -> list[Minute]:
    """Minutes without an answer are counted too; answers before and after them are not."""
    answers, errors = [0] * minutes, [0] * minutes
    for one in timed:
        place = int((one.created_at_s - since_s) // MINUTE_S)
        if 0 <= place < minutes:
            answers[place] += 1
            errors[place] += one.failed
    return [Minute(since_s + place * MINUTE_S, answers[place], errors[place]) for place in range(minutes)]


HANDLERS = [show_minutes]
