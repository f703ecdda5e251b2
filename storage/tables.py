"""The database's tables as they are today: one per Struct of `records.py`, columns named after its fields.

`migrations/` builds the same tables step by step; a test compares the two. Columns that hold lists or objects are JSON
text. An index's name says what it is for: every one serves a query of the module of its table's name.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)


class JsonText(TypeDecorator[Any]):
    """Any JSON value as compact text. None is kept as JSON `null`, so a column of this type is never NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str:
        return msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        return None if value is None else msgspec.json.decode(value)


Position = BigInteger().with_variant(Integer, "sqlite")  # in order of arrival; SQLite counts by INTEGER only

metadata = MetaData()

people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("learn", Boolean, nullable=False, server_default=text("TRUE")),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("id", Text, nullable=False, server_default=text("''")),
    Column("prefix", Text, nullable=False, server_default=text("''")),
    Column("label", Text, nullable=False, server_default=text("''")),
    Column("role", Text, nullable=False, server_default=text("'person'")),
    Column("scopes", JsonText, nullable=False, server_default=text("'[]'")),
    Column("expires_at_s", Float),
    Column("last_used_at_s", Float),
    Column("rotated_at_s", Float),
    Column("replaced_by", Text),
    Column("revoked_at_s", Float),
    Index("ix_api_keys_person", "person_id"),
    Index("ix_api_keys_id", "id", unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    # No foreign keys: the key of a home, which can open one too, is in no table, nor need its holder be.
    Column("sha256", Text, primary_key=True),
    Column("key_sha256", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Index("ix_sessions_key", "key_sha256"),
    Index("ix_sessions_person", "person_id"),
    Index("ix_sessions_age", "expires_at_s"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("title", Text, nullable=False, server_default=text("''")),
    Column("updated_at_s", Float, nullable=False, server_default=text("0")),
    Index("ix_conversations_page", "person_id", "updated_at_s", "id"),
    Index("ix_conversations_age", "updated_at_s"),
)

messages = Table(
    "messages",
    metadata,
    Column("position", Position, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("conversation_id", Text, ForeignKey("conversations.id"), nullable=False),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),  # the conversation's, so that lists need no join
    Column("parent_id", Text, ForeignKey("messages.id")),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at_s", Float, nullable=False),
    # No foreign keys: what a client asked for and what an engine claims are kept as they were said.
    Column("adapter", Text),
    Column("engine_model", Text),
    Column("prompt_token_ids", JsonText, nullable=False),
    Column("token_ids", JsonText, nullable=False),
    Column("finish_reason", Text),
    Column("first_token_ms", Float),
    Column("latency_ms", Float),
    Column("metadata", JSON, nullable=False, server_default=text("'{}'")),
    Column("temperature", Float),
    Index("ix_messages_children", "conversation_id", "parent_id"),
    Index("ix_messages_parent", "parent_id"),
    Index("ix_messages_page", "person_id", "role", "position"),
    sqlite_autoincrement=True,
)

feedback = Table(
    "feedback",
    metadata,
    Column("position", Position, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("message_id", Text, ForeignKey("messages.id"), nullable=False),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", JsonText, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("submission_id", Text, nullable=False),
    Index("ix_feedback_current", "message_id", "person_id", "kind", "position"),
    Index("ix_feedback_submission", "person_id", "submission_id"),
    Index("ix_feedback_person", "person_id", "position"),
    sqlite_autoincrement=True,  # a position is a watermark: it must never be given twice
)

documents = Table(
    "documents",
    metadata,
    Column("position", Position, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("licence", Text, nullable=False),
    Column("person_id", Text, ForeignKey("people.id")),  # who wrote it, where that is one of the people here
    Column("content", JsonText, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Index("ix_documents_kind", "kind", "position"),
    Index("ix_documents_person", "person_id"),
    sqlite_autoincrement=True,
)

imports = Table(
    "imports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("layout", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("records", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("started_at_s", Float, nullable=False),
    Column("ended_at_s", Float),
)

reviews = Table(
    "reviews",
    metadata,
    # No foreign key to messages: one that its owner deletes takes nothing with it here, and is just not shown.
    Column("message_id", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("cycle_id", Integer, ForeignKey("cycles.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("held_at_s", Float, nullable=False),
    Column("decision", Text),
    Column("decided_at_s", Float),
    Index("ix_reviews_page", "decision", "held_at_s", "message_id"),
    Index("ix_reviews_person", "person_id"),
)

cycles = Table(
    "cycles",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("trigger", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at_s", Float, nullable=False),
    Column("ended_at_s", Float),
    Column("adapter", Text),  # no foreign key: adapters already refer to cycles
    Column("reasons", JsonText, nullable=False),
    Column("watermark", Position, nullable=False),
    Column("corpus", Text, nullable=False, server_default=text("''")),
    Index("ix_cycles_watermark", "state", "watermark"),
)

stages = Table(
    "stages",
    metadata,
    Column("cycle_id", Integer, ForeignKey("cycles.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("started_at_s", Float, nullable=False),
    Column("ended_at_s", Float),
    Column("output", JsonText, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("cycle_id", Integer, ForeignKey("cycles.id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("dropped", JsonText, nullable=False),
    Column("file_sha256", Text, nullable=False, server_default=text("''")),
    Column("suites", JsonText, nullable=False, server_default=text("'{}'")),
    Column("recipe", JsonText, nullable=False, server_default=text("'{}'")),
    Index("ix_datasets_cycle", "cycle_id"),
)

dataset_rows = Table(
    "dataset_rows",
    metadata,
    Column("dataset_id", Text, ForeignKey("datasets.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    # No foreign keys: a dataset may also hold rows that came from no stored message or person.
    Column("message_id", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("split", Text, nullable=False),
    Column("weight", Float, nullable=False),
    Column("drop_reason", Text),
    Column("transformations", JsonText, nullable=False, server_default=text("'[]'")),
    Index("ix_dataset_rows_message", "message_id", "split"),
    Index("ix_dataset_rows_person", "person_id"),
)

adapters = Table(
    "adapters",
    metadata,
    Column("position", Position, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("parent", Text, ForeignKey("adapters.name")),
    Column("cycle_id", Integer, ForeignKey("cycles.id")),
    Column("dataset_id", Text, ForeignKey("datasets.id")),
    Column("sha256", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("base_sha256", Text, nullable=False, server_default=text("''")),
    Column("tainted_at_s", Float),
    Index("ix_adapters_dataset", "dataset_id"),
    Index("ix_adapters_parent", "parent"),
    sqlite_autoincrement=True,
)

suites = Table(
    "suites",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("items", Integer, nullable=False),
    Column("margin", Float, nullable=False),
    Column("veto", Boolean, nullable=False),
    Column("created_at_s", Float, nullable=False),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("cycle_id", Integer, ForeignKey("cycles.id")),
    Column("adapter", Text, ForeignKey("adapters.name"), nullable=False),
    Column("suite", Text, nullable=False),
    Column("suite_sha256", Text, nullable=False),
    Column("mean", Float, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("digest", Text, nullable=False, server_default=text("''")),
    Index("ix_evaluations_suite", "adapter", "suite", "suite_sha256"),
    Index("ix_evaluations_cycle", "cycle_id"),
)

scores = Table(
    "scores",
    metadata,
    Column("evaluation_id", Integer, ForeignKey("evaluations.id"), primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("value", Float, nullable=False),
)

release = Table(
    "release",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("adapter", Text, ForeignKey("adapters.name"), nullable=False),
    Column("previous", Text, ForeignKey("adapters.name")),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at_s", Float, nullable=False),
)

canaries = Table(
    "canaries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("adapter", Text, ForeignKey("adapters.name"), nullable=False),
    Column("against", Text, ForeignKey("adapters.name"), nullable=False),
    Column("cycle_id", Integer, ForeignKey("cycles.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("started_at_s", Float, nullable=False),
    Column("stage_started_at_s", Float, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("since", Position, nullable=False),
    Column("resumed_at_s", Float),
    Column("ended_at_s", Float),
    Column("reason", Text, nullable=False),
)

canary_steps = Table(
    "canary_steps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("canary_id", Integer, ForeignKey("canaries.id"), nullable=False),
    Column("at_s", Float, nullable=False),
    Column("step", Text, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("share", Float, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("judgement", JsonText, nullable=False),
    Index("ix_canary_steps_canary", "canary_id"),
)

failures = Table(
    "failures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("adapter", Text, ForeignKey("adapters.name"), nullable=False),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("created_at_s", Float, nullable=False),
    Index("ix_failures_count", "adapter", "created_at_s"),
    Index("ix_failures_person", "person_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("created_at_s", Float, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at_s", Float, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("hook", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("event", Text, nullable=False),
    Column("data", JsonText, nullable=False),
    Column("happened_at_s", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at_s", Float),
    Column("delivered_at_s", Float),
    Column("problem", Text, nullable=False),
    Index("ix_deliveries_due", "due_at_s"),
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at_s", Float, nullable=False),
    Column("counts", JsonText, nullable=False),
    Column("adapters", JsonText, nullable=False),
    Column("marks", JsonText, nullable=False),
    Column("cycle_id", Integer, ForeignKey("cycles.id")),
    Column("cleaned_at_s", Float),
)
