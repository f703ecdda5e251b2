"""Keep each move of a canary with what was known of it then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "canary_steps",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("canary_id", sa.Integer, sa.ForeignKey("canaries.id"), nullable=False),
        sa.Column("at_s", sa.Float, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("share", sa.Float, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("judgement", sa.Text, nullable=False),
    )
    op.create_index("ix_canary_steps_canary", "canary_steps", ["canary_id"])
