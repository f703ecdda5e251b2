"""`POST /v1/feedback`: a thumb, reasons, a comment, a correction or a preference, on disk before it is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth import Gatekeeper
from service.problem import Problem
from service.wire import FeedbackReceipt, FeedbackRequest
from storage import conversations, feedback, people
from storage.database import Database
from storage.records import Feedback, FeedbackKind, Person, Role, new_id

FIELDS = {
    FeedbackKind.THUMB: "thumb",
    FeedbackKind.REASON: "reasons",
    FeedbackKind.COMMENT: "comment",
    FeedbackKind.CORRECTION: "correction",
    FeedbackKind.PREFERENCE: "preferred_over",
}


async def give(connection: AsyncConnection, said: FeedbackRequest, person: Person, now_s: float) -> FeedbackReceipt:
    """Keeps what a person says about one of their own answers. The same `id` again changes nothing.

    Raises `not_found` for an answer that is not theirs, in the same words as for one that does not exist.
    """
    values = {kind: getattr(said, field) for kind, field in FIELDS.items() if getattr(said, field) is not UNSET}
    if not values:
        raise Problem("invalid_request", f"nothing is said: expected at least one of {', '.join(FIELDS.values())}")
    for answer_id in (said.completion_id, *([said.preferred_over] if said.preferred_over else [])):
        message = await conversations.select_owned_message(connection, answer_id, person.id)
        if message is None or message.role is not Role.ASSISTANT:
            raise Problem("not_found", f"you have no completion {answer_id!r}", "completion_id")
    await people.ensure_person(connection, person)
    submission_id = said.id or new_id("fb")
    rows: Sequence[Feedback] = await feedback.select_submission(connection, person.id, submission_id)
    if rows and rows[0].message_id != said.completion_id:
        raise Problem("conflict", f"feedback {submission_id!r} was given for {rows[0].message_id!r} before", "id")
    if not rows:
        rows = [
            Feedback(new_id("fb"), said.completion_id, person.id, kind, value, now_s, submission_id)
            for kind, value in values.items()
        ]
        await feedback.insert_feedback(connection, rows)
    return FeedbackReceipt(submission_id, said.completion_id, [row.kind.value for row in rows])


@post("/v1/feedback", status_code=200)
async def give_feedback(
    data: JSONBody[FeedbackRequest],
    request: Request,  # type: ignore[type-arg]
    database: NamedDependency[Database],
    gatekeeper: NamedDependency[Gatekeeper],
    clock: NamedDependency[Callable[[], float]],
) -> FeedbackReceipt:
    """Feedback on one of the asker's own answers."""
    person = await gatekeeper.person(request)
    return await database.write(lambda connection: give(connection, data, person, clock()))


HANDLERS = [give_feedback]
