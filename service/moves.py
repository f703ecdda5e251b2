"""`/api/release/moves`: which version was live when, and who had it so."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from storage import release
from storage.database import Database
from storage.records import Release

MOST = 1000


@get("/release/moves")
async def list_moves(
    database: NamedDependency[Database], limit: Annotated[int, QueryParameter(ge=1, le=MOST)] = 100
) -> list[Release]:
    """Every move of the live pointer, newest first: the first is what is live."""
    return await database.read(lambda connection: release.select_history(connection, limit))


HANDLERS = [list_moves]
