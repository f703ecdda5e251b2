"""Note which corpus a cycle may draw its documents from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("cycles", sa.Column("corpus", sa.Text, nullable=False, server_default=sa.text("''")))
