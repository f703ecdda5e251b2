"""Add versions that are tried by a share of the people before they go live."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "canaries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("adapter", sa.Text, sa.ForeignKey("adapters.name"), nullable=False),
        sa.Column("against", sa.Text, sa.ForeignKey("adapters.name"), nullable=False),
        sa.Column("cycle_id", sa.Integer, sa.ForeignKey("cycles.id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("started_at_s", sa.Float, nullable=False),
        sa.Column("stage_started_at_s", sa.Float, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("since", Position, nullable=False),
        sa.Column("resumed_at_s", sa.Float),
        sa.Column("ended_at_s", sa.Float),
        sa.Column("reason", sa.Text, nullable=False),
    )
