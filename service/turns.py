"""How a turn is kept: the request's messages found again or added to the conversation's tree, then the answer."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.engine import Completion, Usage
from service.wire import ChatMessage
from storage import conversations, failures, people
from storage.erase import was_erased_since
from storage.records import Conversation, Failure, Message, MessageStatus, Person, Role, new_id

TITLE_CHARACTERS = 80


class Turn(Struct):
    """An answer in the making: what was asked, and all the engine has said so far."""

    id: str
    conversation_id: str
    person: Person
    messages: Sequence[ChatMessage]
    adapter: str
    temperature: float  # that it is drawn at
    created_at_s: float
    metadata: dict[str, str] = {}  # attached to the answer
    continues: bool = False  # a conversation that was there before
    started: float = 0.0  # monotonic, for latencies
    engine_model: str | None = None
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: list[int] = []
    content: list[str] = []
    finish_reason: str | None = None
    first_token_ms: float | None = None
    usage: Usage | None = None

    @classmethod
    def begin(
        cls,
        person: Person,
        conversation_id: str | None,
        messages: Sequence[ChatMessage],
        adapter: str,
        temperature: float,
        metadata: dict[str, str],
        now_s: float,
    ) -> Turn:
        return cls(
            new_id("chatcmpl"),
            conversation_id or new_id("conv"),
            person,
            messages,
            adapter,
            temperature,
            now_s,
            metadata,
            continues=conversation_id is not None,
            started=time.monotonic(),
        )

    def take(self, frame: Completion) -> None:
        """Adds a frame of the engine's, or its whole answer."""
        self.engine_model = frame.model or self.engine_model
        self.usage = frame.usage or self.usage
        if frame.prompt_token_ids:
            self.prompt_token_ids = tuple(frame.prompt_token_ids)
        for choice in frame.choices:
            text = choice.delta.content or choice.message.content
            if text:
                self.content.append(text)
            if choice.token_ids:
                self.first_token_ms = self.first_token_ms or self._elapsed_ms()
                self.token_ids += choice.token_ids
            self.finish_reason = choice.finish_reason or self.finish_reason

    @property
    def begun(self) -> bool:
        """Whether the engine took the request: what it refused is no turn."""
        return self.engine_model is not None

    @property
    def title(self) -> str:
        """What a conversation that begins with this turn is called: the first words of its first question."""
        asked = next((message.text for message in self.messages if message.role == "user"), "")
        words = " ".join(asked[: 4 * TITLE_CHARACTERS].split())
        return words if len(words) <= TITLE_CHARACTERS else words[: TITLE_CHARACTERS - 1].rpartition(" ")[0] + "…"

    @property
    def text(self) -> str:
        return "".join(self.content)

    def answer(self, parent_id: str | None, status: MessageStatus) -> Message:
        return Message(
            id=self.id,
            conversation_id=self.conversation_id,
            person_id=self.person.id,
            parent_id=parent_id,
            role=Role.ASSISTANT,
            content=self.text,
            status=status,
            created_at_s=self.created_at_s,
            adapter=self.adapter if self.begun else None,  # the guard's own words are no version's
            engine_model=self.engine_model,
            prompt_token_ids=self.prompt_token_ids,
            token_ids=tuple(self.token_ids),
            finish_reason=self.finish_reason,
            first_token_ms=self.first_token_ms,
            latency_ms=self._elapsed_ms(),
            temperature=self.temperature if self.begun else None,
            metadata=self.metadata,
        )

    def _elapsed_ms(self) -> float:
        return (time.monotonic() - self.started) * 1000


async def keep_turn(connection: AsyncConnection, turn: Turn, status: MessageStatus) -> None:
    """Writes the turn in one transaction: person, conversation, what was said before where it is new, the answer."""
    if await was_erased_since(connection, turn.person.id, turn.created_at_s):
        return  # forgotten while the answer was being written: none of it is kept
    await people.ensure_person(connection, msgspec.structs.replace(turn.person, created_at_s=turn.created_at_s))
    known = turn.continues and await _is_there(connection, turn)
    if known:
        await conversations.touch_conversation(connection, turn.conversation_id, turn.created_at_s)
    else:
        begun = Conversation(turn.conversation_id, turn.person.id, turn.created_at_s, turn.title, turn.created_at_s)
        await conversations.insert_conversation(connection, begun)
    parent_id: str | None = None
    for message in turn.messages:
        found = await _find(connection, turn, message, parent_id) if known else None
        known = found is not None  # below what is new there is nothing to find
        parent_id = found or await _add(connection, turn, message, parent_id)
    await conversations.insert_message(connection, turn.answer(parent_id, status))


async def keep_failure(connection: AsyncConnection, turn: Turn) -> None:
    """Notes that the version began no answer; of what was asked nothing is kept."""
    if await was_erased_since(connection, turn.person.id, turn.created_at_s):
        return
    await people.ensure_person(connection, msgspec.structs.replace(turn.person, created_at_s=turn.created_at_s))
    await failures.insert_failure(connection, Failure(turn.id, turn.adapter, turn.person.id, turn.created_at_s))


async def _is_there(connection: AsyncConnection, turn: Turn) -> bool:
    return await conversations.select_conversation(connection, turn.conversation_id, turn.person.id) is not None


async def _find(connection: AsyncConnection, turn: Turn, message: ChatMessage, parent_id: str | None) -> str | None:
    """The node under this parent that says the same."""
    children = await conversations.select_children(connection, turn.conversation_id, parent_id)
    same = (child.id for child in children if child.role == message.role and child.content == message.text)
    return next(same, None)


async def _add(connection: AsyncConnection, turn: Turn, message: ChatMessage, parent_id: str | None) -> str:
    """A new node for a message. Words put into the assistant's mouth are kept, marked as the client's."""
    status = MessageStatus.CLIENT if message.role == "assistant" else MessageStatus.COMPLETE
    role, owner = Role(message.role), turn.person.id
    added = Message(new_id("msg"), turn.conversation_id, owner, parent_id, role, message.text, status, turn.created_at_s)
    await conversations.insert_message(connection, added)
    return added.id
