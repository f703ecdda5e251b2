"""The vocabulary of everything Ratchet keeps: one frozen Struct per table.

Times are seconds since the Unix epoch, in UTC, as floats (`*_at_s`). Identifiers are short prefixed random strings,
except where a number orders things (cycles, evaluations, release and audit rows).
"""

from __future__ import annotations

import secrets
from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class MessageStatus(StrEnum):
    """How a message came to be: only `complete` answers may be learnt from."""

    COMPLETE = "complete"  # an answer the engine ended by itself or at its length limit, or a person's message
    INTERRUPTED = "interrupted"  # the client left, or the engine died, before the end
    CLIENT = "client"  # an "assistant" text that came with the request and that no served version is known to have said


class FeedbackKind(StrEnum):
    THUMB = "thumb"  # value: "up", "down", or null for "taken back"
    REASON = "reason"  # value: list of strings
    COMMENT = "comment"  # value: string
    CORRECTION = "correction"  # value: string
    PREFERENCE = "preference"  # value: id of the message this one is preferred over


class CycleState(StrEnum):
    RUNNING = "running"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"  # not enough to learn from
    FAILED = "failed"
    CANCELLED = "cancelled"


class StageName(StrEnum):
    COLLECT = "collect"
    CURATE = "curate"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GATE = "gate"
    RELEASE = "release"


class AdapterState(StrEnum):
    CANDIDATE = "candidate"
    REJECTED = "rejected"
    LIVE = "live"
    RETIRED = "retired"


class Person(Struct, frozen=True):
    id: str
    name: str
    created_at_s: float


class ApiKey(Struct, frozen=True):
    """A bearer key of a person. Only the SHA-256 of the key is kept (128 random bits need no slow hash)."""

    sha256: str
    person_id: str
    created_at_s: float


class Conversation(Struct, frozen=True):
    id: str
    person_id: str
    created_at_s: float


class Message(Struct, frozen=True):
    """One node of a conversation's tree; answers to the same parent are siblings (regenerations)."""

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    content: str
    status: MessageStatus
    created_at_s: float
    adapter: str | None = None  # the version asked for
    engine_model: str | None = None  # the version the engine says wrote it
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    finish_reason: str | None = None
    first_token_ms: float | None = None
    latency_ms: float | None = None


class Feedback(Struct, frozen=True):
    """One thing one person said about one answer. Rows are only added; the newest of a (message, person, kind) counts."""

    id: str
    message_id: str
    person_id: str
    kind: FeedbackKind
    value: object  # JSON, by kind
    created_at_s: float
    submission_id: str  # the client's idempotency id; rows of one POST share it


class Evidence(Struct, frozen=True):
    """An answer with the newest feedback of its owner, and the conversation that led to it: what collect reads."""

    message: Message
    person_id: str
    context: tuple[Message, ...]  # root first, ends with the message's parent
    thumb: str | None
    comment: str | None
    correction: str | None
    updated_at_s: float
    position: int  # of the newest feedback row, the watermark's unit


class Dataset(Struct, frozen=True):
    id: str  # sha256 of its files
    cycle_id: int
    path: str  # below the home
    rows: int
    created_at_s: float
    dropped: dict[str, int]  # reason → count


class DatasetRow(Struct, frozen=True):
    dataset_id: str
    number: int
    message_id: str
    person_id: str
    kind: str
    split: str  # train | heldout | dropped
    weight: float
    drop_reason: str | None = None


class Cycle(Struct, frozen=True):
    id: int
    trigger: str
    method: str
    state: CycleState
    started_at_s: float
    ended_at_s: float | None = None
    adapter: str | None = None
    reasons: tuple[str, ...] = ()
    watermark: int = 0  # the newest feedback position this cycle has taken in


class Stage(Struct, frozen=True):
    cycle_id: int
    name: StageName
    started_at_s: float
    ended_at_s: float | None = None
    output: dict[str, object] | None = None  # None while it runs


class Adapter(Struct, frozen=True):
    """A LoRA adapter. Its name and folder are never used for another."""

    name: str
    parent: str | None
    cycle_id: int | None
    dataset_id: str | None
    sha256: str
    path: str  # below the home
    state: AdapterState
    created_at_s: float


class Evaluation(Struct, frozen=True):
    id: int
    cycle_id: int | None  # None for the baseline, which belongs to no cycle
    adapter: str
    suite: str
    suite_sha256: str
    mean: float
    created_at_s: float


class Score(Struct, frozen=True):
    evaluation_id: int
    item_id: str
    value: float


class Release(Struct, frozen=True):
    """One move of the live pointer. The newest row is the truth: there is always exactly one live version."""

    id: int
    adapter: str
    previous: str | None
    actor: str
    reason: str
    created_at_s: float


class AuditEntry(Struct, frozen=True):
    id: int
    actor: str
    action: str
    subject: str
    detail: str
    created_at_s: float


def new_id(prefix: str) -> str:
    """A fresh identifier: the prefix and 96 random bits in hexadecimal."""
    return f"{prefix}-{secrets.token_hex(12)}"
