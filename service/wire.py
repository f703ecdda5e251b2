"""What programs send and get, as OpenAI has it. Fields that are not here are ignored, as its own servers do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from learner.engine import Usage

NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps no text with a NUL in it
Text = Annotated[str, Meta(max_length=200_000, pattern=NO_NUL)]
MetadataKey = Annotated[str, Meta(max_length=64, pattern=NO_NUL)]
MetadataValue = Annotated[str, Meta(max_length=512, pattern=NO_NUL)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=16)]


class TextPart(Struct, frozen=True, tag="text", tag_field="type"):
    text: Text


class ChatMessage(Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Meta(max_length=200_000)] | list[TextPart]  # no `Text`: see tests/test_structs.py

    def __post_init__(self) -> None:
        if isinstance(self.content, str) and "\x00" in self.content:
            raise ValueError(f"content has a NUL after {self.content.index(chr(0))} characters, expected text without")

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(Struct, frozen=True):
    include_usage: bool = False


class ChatRequest(Struct, frozen=True):
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=1000)]
    model: str = "ratchet"
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    n: Literal[1] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    seed: int | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    metadata: Metadata | None = None
    store: bool | None = None


class AnswerDelta(Struct, frozen=True, omit_defaults=True):
    role: str | None = None
    content: str | None = None


class ChunkChoice(Struct, frozen=True):
    index: int
    delta: AnswerDelta
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class Chunk(Struct, frozen=True):
    """One event of a streamed answer."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    object: str = "chat.completion.chunk"
    usage: Usage | UnsetType | None = UNSET


class AnswerMessage(Struct, frozen=True):
    content: str
    role: str = "assistant"
    refusal: str | None = None


class AnswerChoice(Struct, frozen=True):
    index: int
    message: AnswerMessage
    finish_reason: str | None
    logprobs: dict[str, Any] | None = None


class Answer(Struct, frozen=True):
    """A whole answer."""

    id: str
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: Usage
    object: str = "chat.completion"


class StoredAnswer(Answer, frozen=True, kw_only=True):
    """An answer as it was kept. One that was interrupted has no `finish_reason`."""

    metadata: dict[str, str]


class StoredMessage(Struct, frozen=True):
    """A message of the request that an answer was given to."""

    id: str
    role: str
    content: str
    content_parts: list[TextPart] | None = None
    name: str | None = None


class MetadataChange(Struct, frozen=True):
    metadata: Metadata | None


class CompletionDeleted(Struct, frozen=True):
    id: str
    deleted: bool = True
    object: str = "chat.completion.deleted"


class ModelCard(Struct, frozen=True):
    id: str
    created: int
    object: str = "model"
    owned_by: str = "ratchet"


class ModelList(Struct, frozen=True):
    data: list[ModelCard]
    object: str = "list"


class FeedbackRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says about one answer. Fields that are left out stay as they were; null takes back."""

    completion_id: str
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    thumb: Literal["up", "down"] | UnsetType | None = UNSET
    reasons: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=16)] | UnsetType | None = UNSET
    comment: Annotated[str, Meta(max_length=10000, pattern=NO_NUL)] | UnsetType | None = UNSET
    correction: Annotated[str, Meta(max_length=20000, pattern=NO_NUL)] | UnsetType | None = UNSET
    preferred_over: str | UnsetType | None = UNSET


class FeedbackReceipt(Struct, frozen=True):
    """What is now on disk: the submission's id and the kinds of feedback in it."""

    id: str
    completion_id: str
    recorded: list[str]


class FeedbackDeleted(Struct, frozen=True):
    """How many rows went."""

    completion_id: str
    rows: int
    deleted: bool = True
