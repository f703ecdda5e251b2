"""`/api/suites`, what its numbers are made of: how every version did by now, and the items that were asked."""

from __future__ import annotations

import asyncio

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from learner.context import Context
from learner.evaluate.suite import Item, SuiteError, load_suites
from service.problem import Problem
from storage import evaluations
from storage.database import Database
from storage.records import Evaluation


@get("/suites/means")
async def list_means(database: NamedDependency[Database]) -> list[Evaluation]:
    """The newest mean score of each version on each suite, oldest first. A suite that was changed has another hash."""
    return await database.read(evaluations.select_newest)


@get("/suites/{name:str}/items")
async def list_items(
    name: FromPath[str], context: NamedDependency[Context], item: FromQuery[list[str] | None] = None
) -> list[Item]:
    """The items of a suite as they are today, in its order: all, or those of these ids. Unknown ids are left out."""
    try:
        suites = await asyncio.to_thread(load_suites, *context.suites_dirs)
    except SuiteError as error:
        raise Problem("conflict", str(error)) from error
    found = next((suite for suite in suites if suite.name == name), None)
    if found is None:
        raise Problem("not_found", f"there is no suite {name!r}; expected one of {', '.join(suite.name for suite in suites)}")
    wanted = None if item is None else set(item)
    return [one for one in found.items if wanted is None or one.id in wanted]


HANDLERS = [list_means, list_items]
