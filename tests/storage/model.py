"""What storage promises about people, conversations and feedback, said again in plain Python: dictionaries and loops."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from storage.records import Conversation, Evidence, Feedback, FeedbackKind, Message, MessageStatus, Reason, Role

STORED = (MessageStatus.COMPLETE, MessageStatus.INTERRUPTED)


@dataclass
class Model:
    """Everything in the order of its arrival. Errors are those of storage: LookupError for what somebody does not have."""

    learn: dict[str, bool] = field(default_factory=dict)  # person → whether cycles may
    conversations: dict[str, Conversation] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    feedback: list[Feedback] = field(default_factory=list)

    def conversations_of(self, person_id: str) -> list[Conversation]:
        own = [one for one in self.conversations.values() if one.person_id == person_id]
        return sorted(own, key=lambda one: (one.updated_at_s, one.id), reverse=True)

    def messages_of(self, conversation_id: str, person_id: str) -> list[Message]:
        inside = [one for one in self.messages.values() if one.conversation_id == conversation_id]
        return [one for one in inside if one.person_id == person_id]

    def completions_of(self, person_id: str) -> list[Message]:
        return [one for one in self.messages.values() if one.person_id == person_id and is_answer(one)]

    def evidence(self, after: int) -> list[Evidence]:
        """`after` counts the rows of `feedback` that were read before; positions are such counts, too."""
        newest = {row.message_id: number for number, row in enumerate(self.feedback, 1) if self._is_evidence(row)}
        touched = sorted((number, id) for id, number in newest.items() if number > after)
        return [self._evidence(id, number) for number, id in touched]

    def submission(self, person_id: str, submission_id: str) -> list[Feedback]:
        return [row for row in self.feedback if (row.person_id, row.submission_id) == (person_id, submission_id)]

    def delete_conversation(self, id: str, person_id: str) -> None:
        found = self.conversations.get(id)
        if found is None or found.person_id != person_id:
            raise LookupError
        for message in self.messages_of(id, person_id):
            self._drop_message(message.id)
        del self.conversations[id]

    def delete_completion(self, id: str, person_id: str) -> None:
        message = self.messages.get(id)
        if message is None or message.person_id != person_id or not is_answer(message):
            raise LookupError
        if self._has_children(id):
            self._drop_feedback(id)
            blank = {"content": "", "prompt_token_ids": (), "token_ids": (), "metadata": {}, "status": MessageStatus.DELETED}
            self.messages[id] = msgspec.structs.replace(message, **blank)
            return
        self._drop_message(id)
        self._prune(message)

    def forget(self, person_id: str) -> None:
        if person_id not in self.learn:
            raise LookupError
        for conversation in self.conversations_of(person_id):
            self.delete_conversation(conversation.id, person_id)
        self.feedback = [row for row in self.feedback if row.person_id != person_id]
        del self.learn[person_id]

    def _prune(self, leaf: Message) -> None:
        """What led only to a leaf that is gone goes too."""
        above = self.messages.get(leaf.parent_id or "")
        if above is not None and not is_answer(above) and not self._has_children(above.id):
            self._drop_message(above.id)
            self._prune(above)
        elif not self.messages_of(leaf.conversation_id, leaf.person_id):
            del self.conversations[leaf.conversation_id]

    def _has_children(self, id: str) -> bool:
        return any(one.parent_id == id for one in self.messages.values())

    def _drop_message(self, id: str) -> None:
        del self.messages[id]
        self._drop_feedback(id)

    def _drop_feedback(self, message_id: str) -> None:
        self.feedback = [row for row in self.feedback if row.message_id != message_id]

    def _is_evidence(self, row: Feedback) -> bool:
        message = self.messages[row.message_id]
        complete = message.role is Role.ASSISTANT and message.status is MessageStatus.COMPLETE
        return complete and row.person_id == message.person_id and self.learn[row.person_id]

    def _evidence(self, id: str, number: int) -> Evidence:
        message = self.messages[id]
        said = {row.kind: row for row in self.feedback if (row.message_id, row.person_id) == (id, message.person_id)}
        thumb, comment, correction = (
            said[kind].value if kind in said else None
            for kind in (FeedbackKind.THUMB, FeedbackKind.COMMENT, FeedbackKind.CORRECTION)
        )
        given = said[FeedbackKind.REASON].value if FeedbackKind.REASON in said else []
        reasons = tuple(reason for reason in Reason if reason in given)  # type: ignore[operator]
        updated_at_s = max(row.created_at_s for row in said.values())
        context = self._context(message)
        return Evidence(message, message.person_id, context, thumb, reasons, comment, correction, updated_at_s, number)

    def _context(self, message: Message) -> tuple[Message, ...]:
        above = self.messages.get(message.parent_id or "")
        return () if above is None else (*self._context(above), above)


def is_answer(message: Message) -> bool:
    return message.role is Role.ASSISTANT and message.status in STORED
