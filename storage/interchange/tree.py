"""A talk as a tree to read: which answers there are, what led to each, and what is said of it."""

from __future__ import annotations

from collections import defaultdict

from msgspec import Struct

from storage.interchange.opinion import NOTHING, Opinion, read_opinion
from storage.interchange.talk import Talk
from storage.records import Feedback, Message, MessageStatus, Role

WHOLE = (MessageStatus.COMPLETE, MessageStatus.CLIENT)


class Said(Struct, frozen=True):
    """A message as chat models read it."""

    role: Role
    content: str


class Tree:
    """As much of a talk as can be read from its beginning: what follows a deleted answer has lost its context."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self._readable: dict[str, Message] = {}
        for message in talk.messages:
            if message.status is not MessageStatus.DELETED and (message.parent_id is None or message.parent_id in self._readable):
                self._readable[message.id] = message
        rows: defaultdict[str, list[Feedback]] = defaultdict(list)
        for row in talk.feedback:
            rows[row.message_id].append(row)
        self._opinions = {message_id: read_opinion(said) for message_id, said in rows.items()}

    def answers(self) -> list[Message]:
        """The answers to what a person said that came to their end, in order of arrival."""
        return [message for message in self._readable.values() if self._is_whole_answer(message)]

    def last_answers(self) -> list[Message]:
        """Those of `answers` below which there is no other: the ends of the branches."""
        above: set[str] = set()
        last: list[Message] = []
        for answer in reversed(self.answers()):  # from below, so that each message is passed once
            if answer.id not in above:
                last.append(answer)
            parent_id = answer.parent_id
            while parent_id is not None and parent_id not in above:
                above.add(parent_id)
                parent_id = self._readable[parent_id].parent_id
        return last[::-1]

    def context(self, message: Message) -> list[Message]:
        """What led to a message, root first."""
        above: list[Message] = []
        while message.parent_id is not None:
            message = self._readable[message.parent_id]
            above.append(message)
        return above[::-1]

    def opinion(self, message: Message) -> Opinion:
        """What the owner says of a message now."""
        return self._opinions.get(message.id, NOTHING)

    def _is_whole_answer(self, message: Message) -> bool:
        if message.role is not Role.ASSISTANT or message.status not in WHOLE or not message.content:
            return False
        return message.parent_id is not None and self._readable[message.parent_id].role is Role.USER


def say(messages: list[Message]) -> list[Said]:
    return [Said(message.role, message.content) for message in messages]


def author(message: Message) -> str:
    """The version or foreign model that wrote a message, "" where none is known."""
    return message.engine_model or message.adapter or message.metadata.get("model", "")
