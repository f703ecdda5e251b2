"""What an owner says of an answer, all kinds at once, as it stands in files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from storage.interchange.identify import stable_id
from storage.records import Feedback, FeedbackKind, Message

Text = Annotated[str, Meta(pattern=r"^[^\x00]*$")]  # PostgreSQL keeps no NUL


class Opinion(Struct, frozen=True):
    """Empty where nothing is said. Never null, and never a list, which readers that guess a column's type from its first
    rows would take for a column without one."""

    thumb: Literal["", "up", "down"] = ""
    reasons: Text = ""  # separated by commas
    comment: Text = ""
    correction: Text = ""
    preferred_over: Text = ""  # id of another answer
    at_s: float = 0.0  # when the last of it was said


NOTHING = Opinion()


def read_opinion(rows: Iterable[Feedback]) -> Opinion:
    """What the rows about one answer say; of a kind the last one counts."""
    said = {row.kind: row for row in rows}
    text = {kind: msgspec.convert(row.value, str | None) or "" for kind, row in said.items() if kind is not FeedbackKind.REASON}
    reasons = msgspec.convert(said[FeedbackKind.REASON].value, list[str] | None) if FeedbackKind.REASON in said else None
    return Opinion(
        thumb=msgspec.convert(text.get(FeedbackKind.THUMB, ""), Literal["", "up", "down"]),
        reasons=",".join(reasons or ()),
        comment=text.get(FeedbackKind.COMMENT, ""),
        correction=text.get(FeedbackKind.CORRECTION, ""),
        preferred_over=text.get(FeedbackKind.PREFERENCE, ""),
        at_s=max((row.created_at_s for row in said.values()), default=0.0),
    )


def write_opinion(message: Message, opinion: Opinion) -> list[Feedback]:
    """The opinion of a message's owner as rows, each with an id that follows from what it says."""
    values: dict[FeedbackKind, object] = {
        FeedbackKind.THUMB: opinion.thumb,
        FeedbackKind.REASON: opinion.reasons.split(",") if opinion.reasons else None,
        FeedbackKind.COMMENT: opinion.comment,
        FeedbackKind.CORRECTION: opinion.correction,
        FeedbackKind.PREFERENCE: opinion.preferred_over,
    }
    submission = stable_id("fb", message.id, str(opinion.at_s))
    return [
        Feedback(
            stable_id("fb", message.id, kind, msgspec.json.encode(value).decode(), str(opinion.at_s)),
            message.id,
            message.person_id,
            kind,
            value,
            opinion.at_s,
            submission,
        )
        for kind, value in values.items()
        if value
    ]
