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
    DELETED = "deleted"  # its words are gone at its owner's wish; it stays as the place of the answers below it
    CLIENT = "client"  # an "assistant" text that came with the request and that no served version is known to have said


BROKEN_OFF = "error"  # the finish reason of an interrupted answer that the engine broke off, not its reader


class FeedbackKind(StrEnum):
    THUMB = "thumb"  # value: "up", "down", or null for "taken back"
    REASON = "reason"  # value: list of strings
    COMMENT = "comment"  # value: string
    CORRECTION = "correction"  # value: string
    PREFERENCE = "preference"  # value: id of the message this one is preferred over


class Reason(StrEnum):
    """What is wrong with an answer, from a fixed list so that it can be counted, learnt from, and shown in any language."""

    WRONG = "wrong"
    INCOMPLETE = "incomplete"
    IMPROPER = "improper"
    OFF_TOPIC = "off_topic"
    REFUSED_NEEDLESSLY = "refused_needlessly"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    STYLE = "style"


class DocumentKind(StrEnum):
    CORPUS = "corpus"  # content: plain text
    CHAT = "chat"  # content: list of {role, content}
    DEMONSTRATION = "demonstration"  # content: a chat whose last answer is how it should be
    PREFERENCE = "preference"  # content: {prompt, chosen, rejected}


class Decision(StrEnum):
    """What an operator decided about a row that was held back."""

    ACCEPTED = "accepted"  # it may teach, whatever held it back
    REJECTED = "rejected"  # it never teaches


class CycleState(StrEnum):
    RUNNING = "running"
    STAGED = "staged"  # it is done, and its candidate is being tried: what comes of that becomes its end
    PROMOTED = "promoted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    TRAINED = "trained"  # what it made is no version of the model, but something that later cycles learn by
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
    CANARY = "canary"  # is tried by a share of people, or waits for an operator's approval
    LIVE = "live"
    RETIRED = "retired"
    QUARANTINED = "quarantined"  # may not come back without an operator's reason
    ERASED = "erased"  # its weights are gone from disk and engines; the row remains as history


class CanaryState(StrEnum):
    WAITING_APPROVAL = "waiting_approval"  # nobody is answered by it until an operator says so
    RUNNING = "running"
    HELD = "held"  # its people keep it, and it still can be rolled back, but it takes no step by itself
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"  # it was worse, or an operator took it back
    ENDED = "ended"  # without a judgement: it was declined, or what it was compared with is no longer live


class Person(Struct, frozen=True):
    id: str
    name: str
    created_at_s: float
    learn: bool = True  # whether cycles may learn from what this person says


class KeyRole(StrEnum):
    """What a key lets its holder do: chat and vote, operate the loop too, or make keys of operators too."""

    PERSON = "person"
    OPERATOR = "operator"
    ADMIN = "admin"


class ApiKey(Struct, frozen=True):
    """A bearer key of a person. Only the SHA-256 of the key is kept (128 random bits need no slow hash)."""

    sha256: str
    person_id: str
    created_at_s: float
    id: str  # what it is called, by everybody
    prefix: str = ""  # how the key begins, to tell keys apart; not known of keys older than this field
    label: str = ""  # what it is for
    role: KeyRole = KeyRole.PERSON
    scopes: tuple[str, ...] = ()  # what of its role it is for; all of it where none is named
    expires_at_s: float | None = None
    last_used_at_s: float | None = None  # to a minute or so
    rotated_at_s: float | None = None  # when it got a successor, beside which it works until it expires
    replaced_by: str | None = None  # the successor's id
    revoked_at_s: float | None = None


class Session(Struct, frozen=True):
    """A browser that came in with a key; good while the key is. Only the SHA-256 of its secret is kept."""

    sha256: str
    key_sha256: str
    person_id: str
    created_at_s: float
    expires_at_s: float


class Conversation(Struct, frozen=True):
    id: str
    person_id: str
    created_at_s: float
    title: str = ""  # empty until somebody gives one
    updated_at_s: float = 0.0  # when something was last said in it


class Message(Struct, frozen=True):
    """One node of a conversation's tree; answers to the same parent are siblings (regenerations)."""

    id: str
    conversation_id: str
    person_id: str  # the conversation's owner
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
    temperature: float | None = None  # that the answer was drawn at
    metadata: dict[str, str] = {}  # what the client attached to its request


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
    reasons: tuple[Reason, ...]
    comment: str | None
    correction: str | None
    updated_at_s: float
    position: int  # of the newest feedback row, the watermark's unit
    preferred_over: Message | None = None  # the owner's other answer that this one is preferred over


class Document(Struct, frozen=True):
    """One record of an imported corpus, or something people wrote to be learnt from."""

    id: str
    kind: DocumentKind
    domain: str
    language: str
    source: str
    licence: str
    person_id: str | None
    content: object  # JSON, by kind
    created_at_s: float


class Import(Struct, frozen=True):
    """A file that came in as documents, or the beginning of one: the same again goes on after `records`."""

    id: str  # sha256 of the file and of what was said about it
    source: str
    layout: str
    kind: DocumentKind
    records: int  # of the file that were read so far
    added: int
    skipped: int
    started_at_s: float
    ended_at_s: float | None = None


class Review(Struct, frozen=True):
    """An answer that was held back from learning, until a reason to hold it back has passed or an operator decides."""

    message_id: str
    person_id: str
    cycle_id: int  # that held it back last
    reason: str
    cluster: str  # what is held back together has the same; empty for what stands alone
    held_at_s: float
    decision: Decision | None = None
    decided_at_s: float | None = None


class Dataset(Struct, frozen=True):
    id: str  # sha256 of its file as it was made
    cycle_id: int
    path: str  # below the home; empty once the file is no longer kept
    rows: int
    created_at_s: float
    dropped: dict[str, int]  # reason → count
    file_sha256: str = ""  # of the file as it is: another one than `id` once a person's rows were taken out
    suites: dict[str, str] = {}  # the frozen suites whose items are proved to be in no row: name → sha256
    recipe: dict[str, object] = {}  # the settings and the policy that it was made by


class DatasetRow(Struct, frozen=True):
    dataset_id: str
    number: int
    message_id: str
    person_id: str
    kind: str
    split: str  # train | heldout | dropped
    weight: float
    drop_reason: str | None = None
    transformations: tuple[str, ...] = ()  # what was done to the row, in order


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
    corpus: str = ""  # the domain or source of the documents it may draw from; any where empty


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
    base_sha256: str = ""  # of the weights it was made for
    tainted_at_s: float | None = None  # when somebody it had learnt from was forgotten


class SuiteRecord(Struct, frozen=True):
    """A frozen suite as it judged here. A changed item is another suite: it has another hash."""

    sha256: str
    name: str
    version: int
    kind: str
    items: int
    margin: float
    veto: bool
    created_at_s: float


class Evaluation(Struct, frozen=True):
    id: int
    cycle_id: int | None  # None for the baseline, which belongs to no cycle
    adapter: str
    suite: str
    suite_sha256: str
    mean: float
    created_at_s: float
    digest: str = ""  # of all it says; one from before digests were kept proves nothing


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


class Canary(Struct, frozen=True):
    """A version on its way: a share of the people is answered by it, and compared with those who are not."""

    id: int
    adapter: str
    against: str  # what it is compared with: the live version, when it began
    cycle_id: int
    state: CanaryState
    slot: int  # of the three: which people it may have
    started_at_s: float
    stage_started_at_s: float
    stage: int = 0  # place in `release.shares`
    since: int = 0  # the newest message when it began: those after it are what is compared
    resumed_at_s: float | None = None  # when an operator last let it go on: its time counts from there
    ended_at_s: float | None = None
    reason: str = ""  # of its state


class Failure(Struct, frozen=True):
    """An answer that a version was asked for and the engine failed to begin."""

    id: str
    adapter: str
    person_id: str
    created_at_s: float


class CanaryStep(Struct, frozen=True):
    """One move of a canary, and what was known of it when the move was decided."""

    id: int
    canary_id: int
    at_s: float
    step: str  # advance, hold, resume, promote or roll_back
    stage: int  # that it was in before
    share: float  # of the people who had it before
    actor: str
    reason: str
    judgement: dict[str, object] | None = None  # None where nobody had judged: it was an operator's word


class AuditEntry(Struct, frozen=True):
    id: int
    actor: str
    action: str
    subject: str
    detail: str
    created_at_s: float


class Lease(Struct, frozen=True):
    """Who among the services that share a database may do what only one may do, and until when."""

    name: str
    holder: str
    expires_at_s: float


class Delivery(Struct, frozen=True):
    """An event that a webhook is to be told of, or was told of."""

    hook: str  # SHA-256 of its URL, which may hold a secret
    id: str  # of the event: the same for every hook
    event: str
    data: dict[str, object]
    happened_at_s: float
    attempts: int = 0
    due_at_s: float | None = None  # when it is sent, or sent again; None once it was taken or given up
    delivered_at_s: float | None = None
    problem: str = ""  # of the last attempt


class Erasure(Struct, frozen=True):
    """The receipt of a person forgotten. It holds nothing about them: `marks` are hashes of random identifiers, by which
    a search can tell that none is left."""

    id: str
    created_at_s: float
    counts: dict[str, int]  # table or kind of file → rows or files that went
    adapters: tuple[str, ...]  # that had learnt from the person
    marks: tuple[str, ...]  # SHA-256 of each identifier that went
    cycle_id: int | None = None  # the cycle that replaced those adapters
    cleaned_at_s: float | None = None  # when the last of them was erased


def new_id(prefix: str) -> str:
    """A fresh identifier: the prefix and 96 random bits in hexadecimal."""
    return f"{prefix}-{secrets.token_hex(12)}"
