"""A client's profile (counts by name, spans, missing values) takes the place of its label counts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEYS = ("run_id", "client_id", "node_id", "name", "num_examples")


def upgrade() -> None:
    """Make the table anew, each row's counts under the names of the run's classes."""
    connection = op.get_bind()
    old = sa.table("client", *map(sa.column, KEYS), sa.column("label_counts", sa.JSON))
    run = sa.table("run", sa.column("id"), sa.column("summary", sa.JSON))
    query = sa.select(old, run.c.summary).join(run, run.c.id == old.c.run_id)
    rows = [row._asdict() for row in connection.execute(query)]
    for row in rows:
        row["profile"] = _profile(row.pop("label_counts"), row.pop("summary"))
    _replace(sa.Column("profile", sa.JSON(), nullable=False), rows)


def downgrade() -> None:
    """Make the table anew, with the counts of the first variable alone."""
    old = sa.table("client", *map(sa.column, KEYS), sa.column("profile", sa.JSON))
    rows = [row._asdict() for row in op.get_bind().execute(sa.select(old))]
    for row in rows:
        counts = list(row.pop("profile")["counts"].values())
        row["label_counts"] = list(counts[0].values()) if counts else []
    _replace(sa.Column("label_counts", sa.JSON(), nullable=False), rows)


def _profile(counts: list[int], summary: dict[str, Any]) -> dict[str, Any]:
    classes = summary.get("classes") or []
    names = classes if len(classes) == len(counts) else [str(number) for number in range(len(counts))]
    named = dict(zip(names, counts, strict=True))
    return {"counts": {"label": named} if named else {}, "spans": {}, "missing": {}}


def _replace(last: sa.Column[Any], rows: list[dict[str, Any]]) -> None:
    op.drop_table("client")
    table = op.create_table(
        "client",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("num_examples", sa.BigInteger(), nullable=False),
        last,
        sa.PrimaryKeyConstraint("run_id", "client_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
    )
    op.bulk_insert(table, rows)
