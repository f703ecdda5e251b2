"""The page of a cycle's report at an address of its own, for a browser: it can send no operator's key with a link.

An operator gets a link that is sealed with the key and good for some minutes; whoever holds it reads this one report. The page
is not opened from the console itself, since its styles, which stand within it, are not what the console's policy allows.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated, Any

from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from learner.context import Context
from service.home_key import operator_key
from service.problem import Problem
from service.reports import answer_page
from storage import cycles

GOOD_S = 600


class Link(Struct, frozen=True):
    """`path` can be opened until `until_s`, as often as one likes."""

    path: str
    until_s: int


@post("/cycles/{cycle_id:int}/report/link", status_code=200)
async def make_link(
    cycle_id: FromPath[int], context: NamedDependency[Context], clock: NamedDependency[Callable[[], float]]
) -> Link:
    """An address of the report's page that needs no key, for ten minutes."""
    if await context.database.read(lambda connection: cycles.select_cycle(connection, cycle_id)) is None:
        raise Problem("not_found", f"there is no cycle {cycle_id}")
    until_s = int(clock()) + GOOD_S
    return Link(f"/reports/{cycle_id}?until_s={until_s}&seal={_seal(context, cycle_id, until_s)}", until_s)


@get("/reports/{cycle_id:int}", media_type=MediaType.HTML, include_in_schema=False)
async def open_link(
    cycle_id: FromPath[int],
    until_s: Annotated[int, QueryParameter()],
    seal: Annotated[str, QueryParameter()],
    context: NamedDependency[Context],
    clock: NamedDependency[Callable[[], float]],
    request: Request[Any, Any, Any],
) -> Response[str]:
    """The report that the link is of, in its reader's language."""
    if not hmac.compare_digest(seal.encode(), _seal(context, cycle_id, until_s).encode()) or clock() > until_s:
        raise Problem("not_allowed", "this link is not, or no longer, good: open the report from the console again")
    return await answer_page(context, cycle_id, request)


def _seal(context: Context, cycle_id: int, until_s: int) -> str:
    return hmac.new(operator_key(context.home).encode(), f"report {cycle_id} {until_s}".encode(), hashlib.sha256).hexdigest()


HANDLERS = [make_link]
PAGES = [open_link]
