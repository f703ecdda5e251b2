"""Add documents, the suites that judged, and leases for services that share a database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("position", Position, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("licence", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id")),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_documents_kind", "documents", ["kind", "position"])
    op.create_index("ix_documents_person", "documents", ["person_id"])
    op.create_table(
        "suites",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("margin", sa.Float, nullable=False),
        sa.Column("veto", sa.Boolean, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at_s", sa.Float, nullable=False),
    )
