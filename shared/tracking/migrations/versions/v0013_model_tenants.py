"""Models belong to tenants: the same name may exist in two of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tenant; before, only runs of the default one were registered."""
    owner = sa.Column("tenant", sa.String(60), nullable=False, server_default=sa.text("'default'"))
    op.add_column("model", owner)
    op.drop_index("model_name", "model")
    op.create_index("model_name", "model", ["tenant", "name"], unique=True)


def downgrade() -> None:
    """Drop the tenant, and the models of all but the default one."""
    others = "SELECT id FROM model WHERE tenant <> 'default'"
    for name in ("model_event", "model_alias", "model_version"):
        op.execute(f"DELETE FROM {name} WHERE model_id IN ({others})")
    op.execute("DELETE FROM model WHERE tenant <> 'default'")
    op.drop_index("model_name", "model")
    op.create_index("model_name", "model", ["name"], unique=True)
    op.drop_column("model", "tenant")
