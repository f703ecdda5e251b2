"""`/api/data/held`: why answers are held back from learning, and how many for each reason."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency

from storage import reviews
from storage.database import Database
from storage.reviews import HeldCount


@get("/data/held")
async def count_held(database: NamedDependency[Database]) -> list[HeldCount]:
    """The reasons of what waits for a decision, most answers first; the answers are `/api/data/review?reason=…`."""
    return await database.read(reviews.count_reasons)


HANDLERS = [count_held]
