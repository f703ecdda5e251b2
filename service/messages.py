"""`/api/messages`: answers that operators look for, each with what was thought of it and what learnt from it."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.opinion import Now, of_current
from service.paging import LIMIT, After, Limit, Page, page
from service.problem import Problem
from storage import search
from storage.database import Database
from storage.records import Decision, MessageStatus, Reason
from storage.search import Found, Lesson, Wanted

Text = Annotated[str, QueryParameter(max_length=200)]


class FoundAnswer(Struct, frozen=True):
    """An answer that was given, to what, by which version; what its owner thinks of it now; and the datasets it is in.

    The adapters that learnt from it are at `/api/messages/{id}/adapters`.
    """

    id: str
    conversation_id: str
    person_id: str
    question: str
    answer: str
    version: str | None  # None for what the policy said in a version's place
    status: MessageStatus
    finish_reason: str | None
    created_at_s: float
    first_token_ms: float | None
    latency_ms: float | None
    feedback: Now | None
    held_reason: str | None  # why it was held back from learning, if it ever was
    decision: Decision | None  # an operator's, about that
    datasets: list[Lesson]


@get("/messages")
async def list_messages(
    database: NamedDependency[Database],
    text: Text = "",
    version: FromQuery[str | None] = None,
    thumb: FromQuery[Literal["up", "down", "none"] | None] = None,
    reason: FromQuery[Reason | None] = None,
    person: FromQuery[str | None] = None,
    since_s: FromQuery[float | None] = None,
    until_s: FromQuery[float | None] = None,
    held: FromQuery[bool | None] = None,
    everyone: FromQuery[bool] = False,
    after: After = None,
    limit: Limit = LIMIT,
) -> Page[FoundAnswer]:
    """A page of answers, newest first, of people who let cycles learn from them, or of `everyone`.

    `text` is looked for in questions and answers; `since_s` and `until_s` are seconds since the epoch; `held` are those that
    are held back from learning and wait for a decision, or with `false` all others.
    """
    wanted = Wanted(text, version, thumb, reason, person, since_s, until_s, held, everyone)

    async def look(connection: AsyncConnection) -> list[FoundAnswer]:
        found = await search.select_found(connection, wanted, limit + 1, after)
        ids = [one.id for one in found]
        said = await search.select_opinions(connection, ids)
        lessons = await search.select_lessons(connection, ids)
        return [_told(one, of_current(said[one.id]) if one.id in said else None, lessons.get(one.id, [])) for one in found]

    try:
        return page(await database.read(look), limit)
    except LookupError as error:
        raise Problem("not_found", f"there is {error}", "after") from error


def _told(found: Found, said: Now | None, lessons: list[Lesson]) -> FoundAnswer:
    return FoundAnswer(
        found.id,
        found.conversation_id,
        found.person_id,
        found.question,
        found.content,
        found.version,
        found.status,
        found.finish_reason,
        found.created_at_s,
        found.first_token_ms,
        found.latency_ms,
        said,
        found.held_reason,
        found.decision,
        lessons,
    )


HANDLERS = [list_messages]
