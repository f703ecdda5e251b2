"""Open WebUI's chat export: an array of chats, each with its owner, its times, and the tree of its messages.

A chat's thumbs stand on its messages as annotations. Ids are made from Open WebUI's own, so the same chat comes to the same
place each time, from this export or as the snapshot in one of feedback.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from storage.interchange.identify import stable_id
from storage.interchange.messages import MOST_MESSAGES
from storage.interchange.opinion import Opinion, Text, write_opinion
from storage.interchange.talk import Talk
from storage.records import Conversation, Feedback, Message, MessageStatus, Person, Reason, Role

SOURCE = "openwebui"
Id = Annotated[str, Meta(min_length=1)]
MILLISECONDS = 1e11  # a number of seconds above this is one of milliseconds: some versions wrote those
THUMBS: dict[object, Literal["up", "down"]] = {1: "up", "1": "up", -1: "down", "-1": "down"}
# What is wrong, in our words; what Open WebUI lets people say of a good answer has no counterpart.
REASONS = {
    "dont_like_the_style": Reason.STYLE,
    "too_verbose": Reason.TOO_LONG,
    "not_factually_correct": Reason.WRONG,
    "didnt_fully_follow_instructions": Reason.INCOMPLETE,
    "being_lazy": Reason.INCOMPLETE,
    "refused_when_it_shouldnt_have": Reason.REFUSED_NEEDLESSLY,
}


class Rating(Struct, frozen=True):
    """What a person says of an answer; the tags are the answer's subjects."""

    rating: Literal[1, -1, "1", "-1"] | None = None
    reason: Text | None = None  # a key of `REASONS`, or in older versions the same in English words
    comment: Text | None = None
    tags: list[Text] | None = None


class ChatPart(Struct, frozen=True):
    """A part of a message; pictures have no text."""

    text: Text = ""


class ChatMessage(Struct, frozen=True):
    role: Role
    content: str | list[ChatPart] | None = ""  # no `Text`: see tests/test_structs.py
    parent_id: str | None = field(default=None, name="parentId")
    timestamp: float | None = None
    model: Text | None = None
    annotation: Rating | None = None

    def __post_init__(self) -> None:
        if isinstance(self.content, str) and "\x00" in self.content:
            raise ValueError(f"content has a NUL after {self.content.index(chr(0))} characters, expected text without")


class ChatHistory(Struct, frozen=True):
    messages: Annotated[dict[str, ChatMessage], Meta(max_length=MOST_MESSAGES)]


class ChatParams(Struct, frozen=True):
    system: Text | None = None


class ChatBody(Struct, frozen=True):
    history: ChatHistory
    params: ChatParams = ChatParams()
    title: Text = ""


class Chat(Struct, frozen=True):
    """One record of the export."""

    id: Id
    user_id: Id
    chat: ChatBody
    title: Text = ""
    created_at: float = 0.0
    updated_at: float = 0.0


def read_chat(chat: Chat) -> Talk:
    """A chat as a talk. Its answers are the client's words: no version served here is known to have said them.

    Its owner becomes a person without a key. Raises ValueError where the messages are no tree.
    """
    created_at_s, updated_at_s = _seconds(chat.created_at), _seconds(chat.updated_at or chat.created_at)
    person = Person(stable_id("person", SOURCE, chat.user_id), f"{SOURCE}:{_printable(chat.user_id)}", created_at_s)
    title = chat.title or chat.chat.title
    conversation = Conversation(stable_id("conv", SOURCE, chat.id), person.id, created_at_s, title, updated_at_s)
    system = _system(chat, conversation)
    said: list[Message] = [system] if system else []
    opinions: list[Feedback] = []
    for id, one in _parents_first(chat.chat.history.messages):
        message = _message(chat, conversation, id, one, system.id if system else None)
        said.append(message)
        if one.annotation is not None:
            opinions += write_opinion(message, read_rating(one.annotation, message.created_at_s))
    return Talk(person, conversation, tuple(said), tuple(opinions))


def message_id(chat: Chat, id: str) -> str:
    """What the message of this id in this chat is called here."""
    return stable_id("msg", SOURCE, chat.id, id)


def read_rating(rating: Rating, at_s: float) -> Opinion:
    """A rating in our words. A reason that we have no word for is left out."""
    key = re.sub(r"\W+", "_", (rating.reason or "").replace("'", "").lower())
    reason = REASONS.get(key)
    return Opinion(THUMBS.get(rating.rating, ""), reason.value if reason else "", rating.comment or "", at_s=_seconds(at_s))


def _message(chat: Chat, conversation: Conversation, id: str, one: ChatMessage, root_id: str | None) -> Message:
    metadata = {"model": one.model} if one.model else {}
    if one.annotation is not None and one.annotation.tags:
        metadata["tags"] = ",".join(one.annotation.tags)
    content = one.content if isinstance(one.content, str) else "".join(part.text for part in one.content or ())
    return Message(
        message_id(chat, id),
        conversation.id,
        conversation.person_id,
        message_id(chat, one.parent_id) if one.parent_id else root_id,
        one.role,
        content,
        MessageStatus.CLIENT if one.role is Role.ASSISTANT else MessageStatus.COMPLETE,
        _seconds(one.timestamp) if one.timestamp else conversation.created_at_s,
        metadata=metadata,
    )


def _system(chat: Chat, conversation: Conversation) -> Message | None:
    """The chat's system prompt, which Open WebUI keeps beside the messages, as what all of them follow."""
    text = chat.chat.params.system
    if not text:
        return None
    at = (conversation.id, conversation.person_id, None)
    id = stable_id("msg", SOURCE, chat.id, "system", text)
    return Message(id, *at, Role.SYSTEM, text, MessageStatus.COMPLETE, conversation.created_at_s)


def _parents_first(messages: dict[str, ChatMessage]) -> list[tuple[str, ChatMessage]]:
    children: defaultdict[str | None, list[str]] = defaultdict(list)
    for id, message in messages.items():
        if message.parent_id and message.parent_id not in messages:
            raise ValueError(f"message {id!r} has the parent {message.parent_id!r}, expected the id of a message of the chat")
        children[message.parent_id or None].append(id)
    ordered = list(children[None])
    for id in ordered:  # grows while it is read
        ordered += children[id]
    if lost := messages.keys() - set(ordered):
        raise ValueError(f"message {min(lost)!r} is its own ancestor, expected a tree")
    return [(id, messages[id]) for id in ordered]


def _seconds(time: float) -> float:
    return time / 1000 if time > MILLISECONDS else float(time)


def _printable(id: str) -> str:
    return id.encode("unicode_escape").decode()
