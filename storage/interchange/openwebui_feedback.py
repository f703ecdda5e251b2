"""Open WebUI's feedback export: an array of ratings, each with the chat as it was when the person rated."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from storage.interchange.openwebui import Chat, Rating, message_id, read_chat, read_rating
from storage.interchange.opinion import write_opinion
from storage.interchange.talk import Talk
from storage.records import Role


class FeedbackMeta(Struct, frozen=True):
    """Which answer was rated."""

    message_id: str


class Snapshot(Struct, frozen=True):
    chat: Chat


class RatedChat(Struct, frozen=True):
    """One record of the export."""

    user_id: str
    data: Rating
    meta: FeedbackMeta
    snapshot: Snapshot
    updated_at: float


def read_feedback(record: RatedChat) -> Talk:
    """The chat as a talk, with the rating as its last feedback.

    Raises ValueError where somebody else rated than the chat's owner, or something that is no answer in it.
    """
    chat = record.snapshot.chat
    if record.user_id != chat.user_id:
        raise ValueError(f"user {record.user_id!r} rated a chat of {chat.user_id!r}, expected its owner")
    talk, id = read_chat(chat), message_id(chat, record.meta.message_id)
    rated = next((message for message in talk.messages if message.id == id and message.role is Role.ASSISTANT), None)
    if rated is None:
        raise ValueError(f"meta.message_id is {record.meta.message_id!r}, expected the id of an answer in the snapshot")
    rows = write_opinion(rated, read_rating(record.data, record.updated_at))
    return msgspec.structs.replace(talk, feedback=(*talk.feedback, *rows))
