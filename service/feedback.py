"""`/v1/feedback`: a thumb, reasons, a comment, a correction or a preference, on disk before it is acknowledged.

What a person said is theirs: they read it again, with its history, and take it back for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth import asker_of
from service.opinion import FIELDS, Opinion, Said, of_current, said_of
from service.paging import LIMIT, After, Limit, Page, page
from service.problem import Problem, owned
from service.rates import Rates
from service.reasons import ReasonLabel, parse_reasons, reason_labels
from service.telemetry.instruments import Instruments
from service.wire import FeedbackDeleted, FeedbackReceipt, FeedbackRequest
from storage import completions, feedback
from storage.connect import in_turn
from storage.database import Database
from storage.records import Feedback, FeedbackKind, Message, Person, new_id

HISTORY = 1000  # rows about one answer that are shown, at most


class Given(Struct, frozen=True):
    """What became of feedback: the receipt, the rows that are new, and the version that wrote the answer."""

    receipt: FeedbackReceipt
    rows: list[Feedback]
    version: str | None


async def give(connection: AsyncConnection, said: FeedbackRequest, person: Person, now_s: float) -> Given:
    """Keeps what a person says about one of their own answers. The same `id` again changes nothing.

    Raises `not_found` for an answer that is not theirs, in the same words as for one that does not exist.
    """
    values = _values(said)
    answer = await _select_answer(connection, said.completion_id, person, "completion_id")
    if said.preferred_over:
        await _select_answer(connection, said.preferred_over, person, "preferred_over")
    await in_turn(connection, "feedback")  # or two services might both find the submission new
    submission_id = said.id or new_id("fb")
    rows: list[Feedback] = []
    new: list[Feedback] = []
    if said.id is not None:
        rows = await feedback.select_submission(connection, person.id, said.id)
    if rows and rows[0].message_id != said.completion_id:
        raise Problem("conflict", f"feedback {submission_id!r} was given for {rows[0].message_id!r} before", "id")
    if not rows:
        rows = new = [
            Feedback(new_id("fb"), said.completion_id, person.id, kind, value, now_s, submission_id)
            for kind, value in values.items()
        ]
        await feedback.insert_feedback(connection, rows)
    receipt = FeedbackReceipt(submission_id, said.completion_id, [row.kind.value for row in rows])
    return Given(receipt, new, answer.engine_model or answer.adapter)


def _values(said: FeedbackRequest) -> dict[FeedbackKind, object]:
    """What is said, by kind. Raises `invalid_request` for nothing, and for a reason that is none."""
    values = {kind: getattr(said, field) for kind, field in FIELDS.items() if getattr(said, field) is not UNSET}
    if not values:
        raise Problem("invalid_request", f"nothing is said: expected at least one of {', '.join(FIELDS.values())}")
    if said.preferred_over == said.completion_id:
        raise Problem("invalid_request", f"{said.completion_id!r} cannot be preferred over itself", "preferred_over")
    if said.reasons is not UNSET:
        values[FeedbackKind.REASON] = parse_reasons(said.reasons or ())
    return values


async def _select_answer(connection: AsyncConnection, id: str, person: Person, param: str) -> Message:
    if (found := await completions.select_completion(connection, id, person.id)) is None:
        raise Problem("not_found", f"you have no completion {id!r}", param)
    return found


@post("/v1/feedback", status_code=200)
async def give_feedback(
    data: JSONBody[FeedbackRequest],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
    rates: NamedDependency[Rates],
    clock: NamedDependency[Callable[[], float]],
    instruments: NamedDependency[Instruments],
) -> FeedbackReceipt:
    """Feedback on one of the asker's own answers."""
    began = time.perf_counter()
    asker = asker_of(request)
    rates.take_feedback(asker)
    with instruments.tracing.commit("feedback"):
        given = await database.write(lambda connection: give(connection, data, asker.person, clock()))
    instruments.tracing.voted(data.completion_id, given.version, given.rows)
    instruments.metrics.voted(given.rows, given.version, time.perf_counter() - began)
    return given.receipt


@get("/v1/feedback")
async def list_feedback(
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
    after: After = None,
    limit: Limit = LIMIT,
) -> Page[Said]:
    """All that the asker ever said about answers, newest first."""
    person = asker_of(request).person
    with owned("after"):
        rows = await database.read(lambda c: feedback.select_feedback(c, person.id, limit + 1, after=after))
    return page([said_of(row) for row in rows], limit)


@get("/v1/feedback/reasons")
async def list_reasons() -> list[ReasonLabel]:
    """What can be wrong with an answer, in the order to show it."""
    return reason_labels()


@get("/v1/feedback/{completion_id:str}")
async def show_feedback(
    completion_id: FromPath[str],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> Opinion:
    """What the asker thinks of an answer now, and how they came to think so."""
    person = asker_of(request).person

    async def look(connection: AsyncConnection) -> Opinion:
        await _select_answer(connection, completion_id, person, "completion_id")
        current = await feedback.select_current(connection, completion_id, person.id)
        history = await feedback.select_feedback(connection, person.id, HISTORY, message_id=completion_id)
        return Opinion(completion_id, of_current(current), [said_of(row) for row in history])

    return await database.read(look)


@delete("/v1/feedback/{completion_id:str}", status_code=200)
async def delete_feedback(
    completion_id: FromPath[str],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
) -> FeedbackDeleted:
    """Deletes all that the asker said about an answer."""
    person = asker_of(request).person

    async def remove(connection: AsyncConnection) -> int:
        await _select_answer(connection, completion_id, person, "completion_id")
        return await feedback.delete_feedback(connection, completion_id, person.id)

    return FeedbackDeleted(completion_id, await database.write(remove))


HANDLERS = [give_feedback, list_feedback, list_reasons, show_feedback, delete_feedback]
