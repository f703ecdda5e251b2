"""Seal evaluations by a digest of their scores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("digest", sa.Text, nullable=False, server_default=sa.text("''")))
