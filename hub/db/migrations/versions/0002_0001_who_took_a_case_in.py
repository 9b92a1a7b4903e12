"""Who took a case in, who decided it, and whether the deciding authority objects."""

import sqlalchemy as sa
from alembic import op

revision = "0002_0001"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("cases", sa.Column("opened_by", TEXT, nullable=True))
    op.add_column("cases", sa.Column("clerk", TEXT, nullable=True))
    op.add_column("cases", sa.Column("decided", sa.SmallInteger(), nullable=True))
    op.add_column("cases", sa.Column("objected_at", sa.BigInteger(), nullable=True))
