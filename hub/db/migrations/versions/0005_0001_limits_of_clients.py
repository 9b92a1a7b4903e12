"""Clients whose tokens must be bound to a key, and clients that act for others only in cases of their own source."""

import sqlalchemy as sa
from alembic import op

revision = "0005_0001"
down_revision = "0004_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("dpop", sa.SmallInteger(), nullable=True))
    op.add_column("clients", sa.Column("own_source", sa.SmallInteger(), nullable=True))
