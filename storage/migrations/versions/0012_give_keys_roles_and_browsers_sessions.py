"""Give keys names, roles, scopes and an end, and browsers sessions. Every key there is goes on working, as a person's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

ID_DIGITS = 16  # of the hash, which says nothing of the key


def upgrade() -> None:
    for name in ("id", "prefix", "label"):
        op.add_column("api_keys", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("api_keys", sa.Column("role", sa.Text, nullable=False, server_default=sa.text("'person'")))
    op.add_column("api_keys", sa.Column("scopes", sa.Text, nullable=False, server_default=sa.text("'[]'")))
    op.add_column("api_keys", sa.Column("expires_at_s", sa.Float))
    op.add_column("api_keys", sa.Column("last_used_at_s", sa.Float))
    op.add_column("api_keys", sa.Column("rotated_at_s", sa.Float))
    op.add_column("api_keys", sa.Column("replaced_by", sa.Text))
    op.add_column("api_keys", sa.Column("revoked_at_s", sa.Float))
    op.execute(f"UPDATE api_keys SET id = 'key-' || substr(sha256, 1, {ID_DIGITS})")
    op.create_index("ix_api_keys_id", "api_keys", ["id"], unique=True)
    op.create_table(
        "sessions",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("key_sha256", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
        sa.Column("expires_at_s", sa.Float, nullable=False),
    )
    op.create_index("ix_sessions_key", "sessions", ["key_sha256"])
    op.create_index("ix_sessions_person", "sessions", ["person_id"])
    op.create_index("ix_sessions_age", "sessions", ["expires_at_s"])
