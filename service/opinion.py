"""What a person thinks of an answer, as programs and pages get it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from storage.feedback import Current
from storage.records import Feedback, FeedbackKind

FIELDS = {
    FeedbackKind.THUMB: "thumb",
    FeedbackKind.REASON: "reasons",
    FeedbackKind.COMMENT: "comment",
    FeedbackKind.CORRECTION: "correction",
    FeedbackKind.PREFERENCE: "preferred_over",
}


class Now(Struct, frozen=True):
    """The newest word of each kind; null where nothing was said, or it was taken back."""

    thumb: str | None = None
    reasons: list[str] = []
    comment: str | None = None
    correction: str | None = None
    preferred_over: str | None = None


class Said(Struct, frozen=True):
    """One thing that was said about an answer. What one request said shares its `submission_id`."""

    id: str
    completion_id: str
    kind: FeedbackKind
    value: object
    created_at_s: float
    submission_id: str


class Opinion(Struct, frozen=True):
    """`history` is all that was said, newest first."""

    completion_id: str
    now: Now
    history: list[Said]


def of_current(current: Current) -> Now:
    return msgspec.convert({FIELDS[kind]: row.value for kind, row in current.items()}, Now)


def said_of(row: Feedback) -> Said:
    return Said(row.id, row.message_id, row.kind, row.value, row.created_at_s, row.submission_id)
