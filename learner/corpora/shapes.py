"""From a record's fields to a document's content: one row of `SHAPES` for each form that records are known to have.

To add one, write a function from the record to the content that raises ValueError with the reason where it cannot, and
add a row; the first row whose fields a record has, and that fits it, is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from msgspec import Struct

from learner.corpora.pieces import split
from learner.corpora.spec import MAX_RECORD_CHARS
from learner.corpora.turns import Turn, check_answered, has_weights, read_answer, read_prompt, read_turns, read_weighed, read_words
from storage.records import DocumentKind, Role

Record = Mapping[str, object]


class Shape(Struct, frozen=True):
    fields: tuple[str, ...]  # a record of this shape has them all, none of them null
    kind: DocumentKind
    read: Callable[[Record], object]
    also: tuple[str, ...] = ()  # fields that are read where they are there
    fits: Callable[[Record], bool] = bool  # what else is true of it


class Pair(Struct, frozen=True):
    prompt: list[Turn]
    chosen: str
    rejected: str


def _chat(field: str, record: Record) -> object:
    return check_answered(read_turns(field, record[field]))


def _weighed(record: Record) -> object:
    return check_answered(read_weighed("messages", record["messages"]))


def _tuning_pair(record: Record) -> object:
    """OpenAI's for fine-tuning by preference."""
    asked = record["input"]
    turns = asked.get("messages") if isinstance(asked, Mapping) else None
    outputs = {"chosen": record["preferred_output"], "rejected": record["non_preferred_output"]}
    return _pair("messages", {"messages": turns, **outputs})


def _pair(prompt: str | None, record: Record) -> object:
    before, chosen = read_answer("chosen", record["chosen"])
    before_rejected, rejected = read_answer("rejected", record["rejected"])
    if before != before_rejected:
        raise ValueError("chosen and rejected answer different turns")
    if chosen.strip() == rejected.strip():
        raise ValueError("chosen and rejected are the same")
    turns = before or (read_prompt(prompt, record[prompt]) if prompt else [])
    if not turns:
        raise ValueError("has no prompt")
    return Pair(turns, chosen, rejected)


def _answered(prompt: str, answer: str, record: Record) -> object:
    if record.get("label") is False:  # TRL's unpaired preferences
        raise ValueError("is labelled as a bad answer, and there is no better one beside it")
    before, words = read_answer(answer, record[answer])
    return [*read_prompt(prompt, record[prompt]), *before, Turn(Role.ASSISTANT, words)]


def _instructed(answer: str, record: Record) -> object:
    """Alpaca's: an instruction, perhaps with what it is about."""
    about = next((record[field] for field in ("input", "context") if record.get(field)), "")
    system = [Turn(Role.SYSTEM, read_words("system", record["system"]))] if record.get("system") else []
    words = read_words("instruction", record["instruction"])
    asked = f"{words}\n\n{read_words('input', about)}" if about else words
    return [*system, Turn(Role.USER, asked), Turn(Role.ASSISTANT, read_words(answer, record[answer]))]


def _benchmark(record: Record) -> object:
    """MT-Bench's: what a person says turn by turn, and an answer to each."""
    asked, answers = record["turns"], record["reference"]
    if not isinstance(asked, list) or not isinstance(answers, list) or len(asked) != len(answers):
        raise ValueError("turns and reference are no lists of the same length")
    pairs = zip(asked, answers, strict=True)
    return [
        turn
        for number, (question, answer) in enumerate(pairs, 1)
        for turn in (
            Turn(Role.USER, read_words(f"turn {number}", question)),
            Turn(Role.ASSISTANT, read_words(f"reference {number}", answer)),
        )
    ]


def _text(field: str, record: Record) -> object:
    return read_words(field, record[field])


CORPUS, CHAT, DEMONSTRATION, PREFERENCE = DocumentKind
PROMPTS = ("prompt", "question", "instruction")
SHAPES = (
    *(
        Shape((prompt, "chosen", "rejected"), PREFERENCE, partial(_pair, prompt))
        for prompt in ("prompt", "question", "instruction")
    ),
    Shape(("chosen", "rejected"), PREFERENCE, partial(_pair, None)),  # TRL's, with the prompt in both
    Shape(("input", "preferred_output", "non_preferred_output"), PREFERENCE, _tuning_pair),
    Shape(("messages",), DEMONSTRATION, _weighed, fits=lambda record: has_weights(record["messages"])),
    *(Shape((field,), CHAT, partial(_chat, field)) for field in ("messages", "conversations", "conversation")),
    *(
        Shape(("instruction", answer), DEMONSTRATION, partial(_instructed, answer), ("input", "context", "system"))
        for answer in ("output", "response")
    ),
    *(
        Shape((prompt, answer), DEMONSTRATION, partial(_answered, prompt, answer), ("label",))
        for prompt, answers in {
            "prompt": ("completion", "response", "answer", "reference"),
            "question": ("answer", "response", "reference"),
            "query": ("response", "answer"),
            "input": ("output",),
        }.items()
        for answer in answers
    ),
    Shape(("turns", "reference"), CHAT, _benchmark),
    *(Shape((field,), CORPUS, partial(_text, field)) for field in ("text", "content")),
)
FIELDS = frozenset(field for shape in SHAPES for field in (*shape.fields, *shape.also))
UNANSWERED = ("prompt", "question", "query", "instruction", "turns")


def read_record(record: object, kind: DocumentKind | None) -> tuple[DocumentKind, list[object]]:
    """The kind of a record, which is `kind` where that is given, and the contents of the documents it makes.

    A long text makes several; anything else makes one. ValueError says why there is none.
    """
    content: object
    if isinstance(record, str):
        found, content = CORPUS, read_words("the text", record)
    elif isinstance(record, Mapping):
        shape = _shape_of(record)
        found, content = shape.kind, shape.read(record)
    else:
        raise ValueError(f"is a {type(record).__name__}, expected an object with named fields")
    kind = _checked_kind(kind, found, content)
    content = msgspec.to_builtins(content)
    size = len(msgspec.json.encode(content))  # ValueError for what is no text at all: half a surrogate pair
    if isinstance(content, str):
        return kind, list(split(content)) if len(content) > MAX_RECORD_CHARS else [content]
    if size > MAX_RECORD_CHARS:
        raise ValueError(f"has {size} bytes, expected at most {MAX_RECORD_CHARS} of a {kind.value}")
    return kind, [content]


def _shape_of(record: Record) -> Shape:
    for shape in SHAPES:
        if all(record.get(field) is not None for field in shape.fields) and shape.fits(record):
            return shape
    there = [field for field in UNANSWERED if record.get(field) is not None]
    if there:
        raise ValueError(f"has {there[0]!r} without an answer")
    fields = ", ".join(str(field) for field in record)[:120]
    raise ValueError(f"has the fields {fields!r}, expected such as messages, conversations, prompt and completion, or text")


def _checked_kind(kind: DocumentKind | None, found: DocumentKind, content: object) -> DocumentKind:
    """The kind that was asked for, if a record of the kind that was found can be of it. Raises ValueError."""
    if kind is None or kind is found:
        return found
    if {kind, found} != {CHAT, DEMONSTRATION}:
        raise ValueError(f"is of kind {found.value}, expected {kind.value}")
    if kind is DEMONSTRATION and isinstance(content, list) and content[-1].role is not Role.ASSISTANT:
        raise ValueError(f"ends with a turn of {content[-1].role.value!r}: expected an answer that shows how it should be")
    return kind
