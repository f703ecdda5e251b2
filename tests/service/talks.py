"""Talks put straight into a service's database, for tests of what people do with them afterwards."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.conversations import insert_conversation, insert_messages
from storage.records import Conversation, Message, MessageStatus, Role, new_id
from tests.conftest import Service


class Talk(Struct, frozen=True):
    """Ids of a question and the two answers it got, the second a regeneration."""

    person: str
    conversation: str
    question: str
    answer: str
    again: str


def keep_talk(service: Service, key: str = "tester", title: str = "Bread", at_s: float = 100.0) -> Talk:
    """A talk of the person with this key, who need not be known yet."""
    status, me = service.request("POST", "/v1/me", {"learn": True}, key)
    assert status == 200, me
    talk = Talk(me["id"], new_id("conv"), new_id("msg"), new_id("chatcmpl"), new_id("chatcmpl"))

    def message(id: str, parent_id: str | None, role: Role, text: str) -> Message:
        return Message(id, talk.conversation, talk.person, parent_id, role, text, MessageStatus.COMPLETE, at_s)

    def answer(id: str, text: str) -> Message:
        return msgspec.structs.replace(
            message(id, talk.question, Role.ASSISTANT, text),
            adapter="base",
            engine_model="base",
            finish_reason="stop",
            prompt_token_ids=(1, 2, 3),
            token_ids=(4, 5),
        )

    async def insert(connection: AsyncConnection) -> None:
        begun = Conversation(talk.conversation, talk.person, at_s, title, at_s)
        await insert_conversation(connection, begun)
        asked = message(talk.question, None, Role.USER, f"How is {title.lower()} made?")
        await insert_messages(connection, [asked, answer(talk.answer, "With flour."), answer(talk.again, "By hand.")])

    service.call(service.parts.database.write(insert))
    return talk
