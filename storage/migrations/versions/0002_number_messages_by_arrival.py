"""Number messages by arrival, name their owner, and let people say no and conversations have titles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")
KEPT = (
    "id, conversation_id, parent_id, role, content, status, created_at_s, adapter, engine_model, prompt_token_ids, token_ids, "
    "finish_reason, first_token_ms, latency_ms"
)


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("people", sa.Column("learn", sa.Boolean, nullable=False, server_default=sa.text("TRUE")))
    op.create_index("ix_api_keys_person", "api_keys", ["person_id"])
    _conversations()
    _messages(sqlite)
    op.create_index("ix_feedback_person", "feedback", ["person_id", "position"])
    if not sqlite:
        op.alter_column("feedback", "position", type_=sa.BigInteger)
        op.alter_column("cycles", "watermark", type_=sa.BigInteger)


def _conversations() -> None:
    op.add_column("conversations", sa.Column("title", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("conversations", sa.Column("updated_at_s", sa.Float, nullable=False, server_default=sa.text("0")))
    op.execute(
        "UPDATE conversations SET updated_at_s = coalesce("
        "(SELECT max(created_at_s) FROM messages WHERE conversation_id = conversations.id), created_at_s)"
    )
    op.create_index("ix_conversations_page", "conversations", ["person_id", "updated_at_s", "id"])
    op.create_index("ix_conversations_age", "conversations", ["updated_at_s"])


def _messages(sqlite: bool) -> None:
    """Made anew, since a primary key cannot be added to a table of SQLite."""
    op.create_table(
        "messages_new",
        sa.Column("position", Position, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("conversation_id", sa.Text, sa.ForeignKey("conversations.id"), nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), nullable=False),
        sa.Column("parent_id", sa.Text, sa.ForeignKey("messages_new.id")),
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
        sa.Column("metadata", sa.JSON, nullable=False, server_default=sa.text("'{}'")),
        sqlite_autoincrement=True,
    )
    arrival = "rowid" if sqlite else "created_at_s"
    op.execute(
        f"INSERT INTO messages_new ({KEPT}, person_id) SELECT {KEPT}, "
        "(SELECT person_id FROM conversations WHERE conversations.id = messages.conversation_id) "
        f"FROM messages ORDER BY {arrival}"
    )
    op.execute("DROP TABLE messages" if sqlite else "DROP TABLE messages CASCADE")
    op.rename_table("messages_new", "messages")
    op.create_index("ix_messages_children", "messages", ["conversation_id", "parent_id"])
    op.create_index("ix_messages_parent", "messages", ["parent_id"])
    op.create_index("ix_messages_page", "messages", ["person_id", "role", "position"])
    if not sqlite:
        op.create_foreign_key(None, "feedback", "messages", ["message_id"], ["id"])
