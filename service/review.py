"""`/api/data/review`: what was held back from learning, and an operator's word on it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.paging import LIMIT, After, Limit
from service.problem import Problem
from storage import audit, reviews
from storage.database import Database
from storage.records import Decision
from storage.reviews import HeldAnswer


class ReviewState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class HeldPage(Struct, frozen=True):
    """`has_more` says whether a page after the last of these would hold any."""

    data: list[HeldAnswer]
    has_more: bool


class Word(Struct, frozen=True, forbid_unknown_fields=True):
    """An operator's decision about one message, or about all of a cluster; null takes one back. The audit keeps the reason."""

    decision: Decision | None
    message_id: str | None = None
    cluster: str | None = None
    reason: Annotated[str, Meta(max_length=500)] = ""


class Decided(Struct, frozen=True):
    """How many answers the decision is about."""

    decision: Decision | None
    answers: int


@get("/data/review")
async def list_held(
    database: NamedDependency[Database],
    shown: Annotated[ReviewState, QueryParameter(name="state")] = ReviewState.PENDING,
    after: After = None,
    limit: Limit = LIMIT,
    reason: FromQuery[str | None] = None,
) -> HeldPage:
    """A page of what was held back, newest first; for one of the reasons that `/api/data/held` counts, or any."""
    decision = None if shown is ReviewState.PENDING else Decision(shown)
    try:
        found = await database.read(lambda connection: reviews.select_held(connection, decision, limit + 1, after, reason))
    except LookupError as error:
        raise Problem("not_found", f"there is {error.args[0]}", "after") from error
    return HeldPage(found[:limit], len(found) > limit)


@post("/data/review", status_code=200)
async def decide(
    data: JSONBody[Word],
    database: NamedDependency[Database],
    actor: NamedDependency[str],
    clock: NamedDependency[Callable[[], float]],
) -> Decided:
    """Accepts what may teach after all, whatever held it back, or rejects it for good; or lets it wait again."""
    subject = data.message_id or data.cluster
    if not subject or (data.message_id and data.cluster):
        raise Problem("invalid_request", "expected either a message_id or a cluster, and neither of them empty")
    select = reviews.decide_message if data.message_id else reviews.decide_cluster

    async def write(connection: AsyncConnection) -> int:
        count = await select(connection, subject, data.decision, clock())
        action = f"review.{data.decision or 'undone'}"
        detail = f"{count} answers: {data.reason}" if data.reason else f"{count} answers"
        await audit.insert_audit(connection, actor, action, subject, detail, clock())
        return count

    try:
        return Decided(data.decision, await database.write(write))
    except LookupError as error:
        raise Problem("not_found", f"there is {error.args[0]}", "message_id" if data.message_id else "cluster") from error


HANDLERS = [list_held, decide]
