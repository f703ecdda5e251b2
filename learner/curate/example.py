"""What curation looks at: an answer with the conversation before it and what its owner said of it, as text.

Steps are pure: each takes examples and gives those that are left, changed perhaps, and the drops with their reasons.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from storage.records import MessageStatus, Reason


class Said(Struct, frozen=True):
    """One message before the answer, and how it came to be: `CLIENT` marks an answer that no served version gave."""

    role: str
    content: str
    status: MessageStatus = MessageStatus.COMPLETE


class Example(Struct, frozen=True):
    """One answer that somebody had an opinion on, before it becomes a row."""

    id: str  # of the message
    person_id: str
    conversation_id: str
    prompt: tuple[Said, ...]  # root first, up to the last user message
    answer: str
    thumb: str | None  # "up", "down", or None
    correction: str | None
    reasons: tuple[Reason, ...]
    said_at_s: float  # when the owner last said something of it
    weight: float = 1.0
    transformations: tuple[str, ...] = ()  # what was done to it, in order, in words for the manifest
    finish_reason: str | None = None  # the engine's: "stop", or "length" where the answer reached its limit
    worse: str | None = None  # an answer to the same that this one is preferred over

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything in it that a person or the model wrote."""
        others = [text for text in (self.correction, self.worse) if text]
        return (*(said.content for said in self.prompt), self.answer, *others)

    @property
    def is_liked(self) -> bool:
        """Whether the answer itself is something to say again: by its thumb, or preferred where it has none."""
        return self.thumb == "up" or (self.thumb is None and bool(self.worse))

    @property
    def gist(self) -> str:
        """What was asked last and what is to be said to it: near-duplicates have nearly the same."""
        return f"{self.question}\n{self.correction or self.answer}"

    @property
    def question(self) -> str:
        """What was asked last."""
        return next((said.content for said in reversed(self.prompt) if said.role == "user"), "")


class Drop(Struct, frozen=True):
    """An example that does not teach. One that is `held` waits: an operator may accept it, or the reason may pass."""

    id: str
    person_id: str
    reason: str
    held: bool = False
    cluster: str = ""  # what is held back together has the same


class Sifted(NamedTuple):
    """What a step leaves, in its order, and what it takes out."""

    kept: list[Example]
    dropped: list[Drop]


def drop(example: Example, reason: str, held: bool = False, cluster: str = "") -> Drop:
    """The example as it is taken out."""
    return Drop(example.id, example.person_id, reason, held, cluster)
