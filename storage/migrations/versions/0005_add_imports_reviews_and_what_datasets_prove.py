"""Add files that came in, answers that are held back, and what a dataset was checked against and made by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("layout", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("added", sa.Integer, nullable=False),
        sa.Column("skipped", sa.Integer, nullable=False),
        sa.Column("started_at_s", sa.Float, nullable=False),
        sa.Column("ended_at_s", sa.Float),
    )
    op.create_table(
        "reviews",
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), nullable=False),
        sa.Column("cycle_id", sa.Integer, sa.ForeignKey("cycles.id"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("held_at_s", sa.Float, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("decided_at_s", sa.Float),
    )
    op.create_index("ix_reviews_page", "reviews", ["decision", "held_at_s", "message_id"])
    op.create_index("ix_reviews_person", "reviews", ["person_id"])
    for column in ("suites", "recipe"):
        op.add_column("datasets", sa.Column(column, sa.Text, nullable=False, server_default=sa.text("'{}'")))
    op.add_column("dataset_rows", sa.Column("transformations", sa.Text, nullable=False, server_default=sa.text("'[]'")))
