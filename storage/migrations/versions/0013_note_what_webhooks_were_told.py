"""Note what webhooks are to be told, and what they were told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("hook", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("happened_at_s", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at_s", sa.Float),
        sa.Column("delivered_at_s", sa.Float),
        sa.Column("problem", sa.Text, nullable=False),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["due_at_s"])
