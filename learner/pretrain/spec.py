"""What a pretraining is asked for, what comes of it, and the files of its job; imported without torch.

In its folder: `job.json` and `documents.jsonl` in, `metrics.jsonl` (one line a step), `model/` and `result.json` out. A folder
with a `job.json` and no `report.json` is unfinished: the same request goes on there.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from learner.machine import Precision
from learner.rows import Split
from storage.artifacts import NAME

JOB, DOCUMENTS, METRICS, RESULT, REPORT = "job.json", "documents.jsonl", "metrics.jsonl", "result.json", "report.json"
MODEL, TOKENIZER = "model", "tokenizer"
LINEAGE = "lineage.json"  # in the folder of a model that was made here
MODELS, FOLDERS = "models", "pretrain"  # below a home: what was made, and where it is made

BYTES = 256  # what a byte-level vocabulary begins with
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")  # of a tokenizer that is made here: ids 0, 1, 2
HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256)  # that vLLM's attention on the CPU has
Count = Annotated[int, Meta(ge=1)]


class PretrainError(Exception):
    """A pretraining cannot begin or go on; the message says what was found and expected."""


class Scratch(Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of a new Llama (arXiv 2302.13971) with grouped-query attention, and of its byte-level BPE vocabulary."""

    layers: Count = 8
    hidden: Count = 512  # width of the model
    heads: Count = 8  # of attention; each is hidden / heads wide
    kv_heads: Count = 4  # that heads share
    intermediate: Count = 1408  # width inside an MLP
    vocabulary: Annotated[int, Meta(ge=BYTES + len(SPECIAL))] = 8192  # tokens at most: a small corpus has fewer
    positions: Count = 4096  # longest text; the engine's max_model_len may not be more
    rope_theta: float = 10_000.0
    tied: bool = True  # whether the head is the embedding


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """What to learn, and how. Two equal requests make the same model of the same documents."""

    corpus: str  # a domain or a source of imported documents of kind corpus
    name: str = ""  # of the new model's folder; made of the corpus where empty
    scratch: Scratch | None = None  # a new model of this shape; all weights of the served one go on learning where unset
    passes: Count = 1  # times each document is read
    learning_rate: Annotated[float, Meta(gt=0)] | None = None  # at its height; LEARNING_RATE, or SCRATCH_RATE from scratch
    window_tokens: Annotated[int, Meta(ge=2)] = 512  # predicted at once: how far back the model learns to look
    batch_windows: Count = 8  # per optimiser step
    heldout_share: Annotated[float, Meta(ge=0, lt=1)] = 0.05  # of the documents, which are only read to measure
    seed: int = 0
    checkpoint_steps: Count = 50  # after which a killed run can go on
    time_limit_s: Annotated[float, Meta(gt=0)] = 24 * 3600.0
    memory_limit_mb: Count | None = None  # of the job; most of the machine's where unset


LEARNING_RATE, SCRATCH_RATE = 1e-4, 1e-3


class Origin(Struct, frozen=True):
    """What a model is made from."""

    parent_sha256: str | None  # of the weights that went on learning; None where they began at random
    corpus: str
    licences: tuple[str, ...]
    documents: int  # that are learnt from or measured by
    dropped: dict[str, int]  # reason → documents that were left out
    documents_sha256: str  # of the file of those that were not
    created_at_s: float


class Job(Struct, frozen=True):
    request: Request
    origin: Origin
    model_dir: str  # of the parent; not read from scratch
    precision: Precision = "auto"
    threads: int | None = None


class Text(Struct, frozen=True):
    """A document as the job reads it, clean."""

    id: str
    split: Split
    text: str


class Progress(Struct, frozen=True):
    """Where a pretraining is; a line of metrics.jsonl for each step."""

    step: int
    steps: int
    loss: float
    tokens_per_s: float
    seconds_left: float


class Lineage(Struct, frozen=True):
    """Where a model comes from and what it learnt; kept in its folder."""

    name: str
    sha256: str  # of its weights, as adapters of it name their base
    origin: Origin
    request: Request
    parameters: int
    tokens: int  # of the documents that were learnt from
    tokens_seen: int  # in all passes
    final_loss: float  # nats per token, mean of the last pass
    heldout_tokens: int
    perplexity_before: float | None  # on the held-out documents; None where there are none
    perplexity_after: float | None  # of the weights as they were written
    seconds: float


class Result(Struct, frozen=True):
    """`error` says why there is no model."""

    error: str | None = None
    lineage: Lineage | None = None


class State(StrEnum):
    GATHERING = "gathering"  # documents are read and cleaned
    TRAINING = "training"
    INTERRUPTED = "interrupted"  # by the end of the service: the same request goes on
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


RUNNING = (State.GATHERING, State.TRAINING)


class Report(Struct, frozen=True):
    """How a pretraining stands, or how it went."""

    name: str
    state: State
    request: Request
    started_at_s: float
    gathered: int = 0  # documents that were looked at
    progress: Progress | None = None
    reason: str = ""  # why it failed
    folder: str = ""  # of the finished model
    lineage: Lineage | None = None


def check(request: Request) -> Request:
    """The request with its name. Raises `PretrainError` for what no model could be made of."""
    name = request.name or _name(request)
    if not NAME.fullmatch(name):
        raise PretrainError(f"name is {name!r}, expected letters, digits, '.', '_' and '-'")
    if request.scratch is not None:
        _check_shape(request.scratch, request.window_tokens)
    return msgspec.structs.replace(request, name=name)


def _name(request: Request) -> str:
    corpus = re.sub(r"[^a-z0-9]+", "-", request.corpus.lower()).strip("-")[:64] or "corpus"
    return f"{corpus}-{'full' if request.scratch is None else 'scratch'}"


def _check_shape(shape: Scratch, window_tokens: int) -> None:
    size, rest = divmod(shape.hidden, shape.heads)
    if rest or size not in HEAD_SIZES:
        sizes = ", ".join(map(str, HEAD_SIZES))
        raise PretrainError(f"hidden / heads is {shape.hidden} / {shape.heads}, expected one of {sizes}, which can be served")
    if shape.heads % shape.kv_heads:
        raise PretrainError(f"kv_heads is {shape.kv_heads}, expected a divisor of heads, which is {shape.heads}")
    if shape.positions <= window_tokens:
        raise PretrainError(f"positions is {shape.positions}, expected more than the window's {window_tokens} tokens")


def read_lineage(folder: Path) -> Lineage | None:
    """Where the model in a folder comes from, if it was made here."""
    file = folder / LINEAGE
    return msgspec.json.decode(file.read_bytes(), type=Lineage) if file.is_file() else None
