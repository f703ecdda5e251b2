"""Count answers that never came while versions are compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "failures",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("adapter", sa.Text, sa.ForeignKey("adapters.name"), nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
    )
    op.create_index("ix_failures_count", "failures", ["adapter", "created_at_s"])
    op.create_index("ix_failures_person", "failures", ["person_id"])
