"""Mark what learnt from whom, so that a person can be forgotten down to the weights."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")
KEPT = "name, parent, cycle_id, dataset_id, sha256, path, state, created_at_s"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("file_sha256", sa.Text, nullable=False, server_default=sa.text("''")))
    op.execute("UPDATE datasets SET file_sha256 = id")
    op.create_index("ix_datasets_cycle", "datasets", ["cycle_id"])
    op.create_index("ix_dataset_rows_person", "dataset_rows", ["person_id"])
    _adapters(op.get_bind().dialect.name == "sqlite")
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at_s", sa.Float, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("adapters", sa.Text, nullable=False),
        sa.Column("marks", sa.Text, nullable=False),
        sa.Column("cycle_id", sa.Integer, sa.ForeignKey("cycles.id")),
        sa.Column("cleaned_at_s", sa.Float),
    )


def _adapters(sqlite: bool) -> None:
    """Made anew, numbered by arrival."""
    op.create_table(
        "adapters_new",
        sa.Column("position", Position, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("parent", sa.Text, sa.ForeignKey("adapters_new.name")),
        sa.Column("cycle_id", sa.Integer, sa.ForeignKey("cycles.id")),
        sa.Column("dataset_id", sa.Text, sa.ForeignKey("datasets.id")),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Float, nullable=False),
        sa.Column("base_sha256", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("tainted_at_s", sa.Float),
        sqlite_autoincrement=True,
    )
    arrival = "rowid" if sqlite else "created_at_s"
    op.execute(f"INSERT INTO adapters_new ({KEPT}) SELECT {KEPT} FROM adapters ORDER BY {arrival}")
    op.execute("DROP TABLE adapters" if sqlite else "DROP TABLE adapters CASCADE")
    op.rename_table("adapters_new", "adapters")
    op.create_index("ix_adapters_dataset", "adapters", ["dataset_id"])
    op.create_index("ix_adapters_parent", "adapters", ["parent"])
    if not sqlite:
        op.create_foreign_key(None, "evaluations", "adapters", ["adapter"], ["name"])
        op.create_foreign_key(None, "release", "adapters", ["adapter"], ["name"])
        op.create_foreign_key(None, "release", "adapters", ["previous"], ["name"])
