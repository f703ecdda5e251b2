"""Create the loop's tables.

A migration says what was done then, so nothing here is imported from today's tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    _people_and_what_they_say()
    _cycles_and_their_datasets()
    _adapters_and_how_they_fare()
    _release_and_audit()


def _people_and_what_they_say() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )
    op.create_table(
        "conversations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("conversation_id", sa.Text, sa.ForeignKey("conversations.id"), nullable=False),
        sa.Column("parent_id", sa.Text, sa.ForeignKey("messages.id")),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
        sa.Column("adapter", sa.Text),
        sa.Column("engine_model", sa.Text),
        sa.Column("prompt_token_ids", sa.Text, nullable=False),
        sa.Column("token_ids", sa.Text, nullable=False),
        sa.Column("finish_reason", sa.Text),
        sa.Column("first_token_ms", sa.Float),
        sa.Column("latency_ms", sa.Float),
    )
    op.create_index("ix_messages_children", "messages", ["conversation_id", "parent_id"])
    op.create_table(
        "feedback",
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("message_id", sa.Text, sa.ForeignKey("messages.id"), nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
        sa.Column("submission_id", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feedback_current", "feedback", ["message_id", "person_id", "kind", "position"])
    op.create_index("ix_feedback_submission", "feedback", ["person_id", "submission_id"])


def _cycles_and_their_datasets() -> None:
    op.create_table(
        "cycles",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at_s", sa.Float, nullable=False),
        sa.Column("ended_at_s", sa.Float),
        sa.Column("adapter", sa.Text),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("watermark", sa.Integer, nullable=False),
    )
    op.create_index("ix_cycles_watermark", "cycles", ["state", "watermark"])
    op.create_table(
        "stages",
        sa.Column("cycle_id", sa.Integer, sa.ForeignKey("cycles.id"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("started_at_s", sa.Float, nullable=False),
        sa.Column("ended_at_s", sa.Float),
        sa.Column("output", sa.Text, nullable=False),
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("cycle_id", sa.Integer, sa.ForeignKey("cycles.id"), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
        sa.Column("dropped", sa.Text, nullable=False),
    )
    op.create_table(
        "dataset_rows",
        sa.Column("dataset_id", sa.Text, sa.ForeignKey("datasets.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("split", sa.Text, nullable=False),
        sa.Column("weight", sa.Float, nullable=False),
        sa.Column("drop_reason", sa.Text),
    )
    op.create_index("ix_dataset_rows_message", "dataset_rows", ["message_id", "split"])


def _adapters_and_how_they_fare() -> None:
    op.create_table(
        "adapters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("parent", sa.Text, sa.ForeignKey("adapters.name")),
        sa.Column("cycle_id", sa.Integer, sa.ForeignKey("cycles.id")),
        sa.Column("dataset_id", sa.Text, sa.ForeignKey("datasets.id")),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )
    op.create_index("ix_adapters_dataset", "adapters", ["dataset_id"])
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("cycle_id", sa.Integer, sa.ForeignKey("cycles.id")),
        sa.Column("adapter", sa.Text, sa.ForeignKey("adapters.name"), nullable=False),
        sa.Column("suite", sa.Text, nullable=False),
        sa.Column("suite_sha256", sa.Text, nullable=False),
        sa.Column("mean", sa.Float, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )
    op.create_index("ix_evaluations_suite", "evaluations", ["adapter", "suite", "suite_sha256"])
    op.create_index("ix_evaluations_cycle", "evaluations", ["cycle_id"])
    op.create_table(
        "scores",
        sa.Column("evaluation_id", sa.Integer, sa.ForeignKey("evaluations.id"), primary_key=True),
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
    )


def _release_and_audit() -> None:
    op.create_table(
        "release",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("adapter", sa.Text, sa.ForeignKey("adapters.name"), nullable=False),
        sa.Column("previous", sa.Text, sa.ForeignKey("adapters.name")),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Never: a database only moves forward, and a backup is what one goes back to."""
    raise NotImplementedError("the loop's tables are not taken down")
