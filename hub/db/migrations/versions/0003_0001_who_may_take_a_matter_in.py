"""Kinds of authorities, who may take a matter in, second numbers of cases, use of cases, and alarms."""

import sqlalchemy as sa
from alembic import op

revision = "0003_0001"
down_revision = "0002_0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("authorities", sa.Column("kind", TEXT, nullable=True))
    op.add_column("matters", sa.Column("intake", TEXT, nullable=True))
    op.add_column("matters", sa.Column("regions", TEXT, nullable=True))
    op.add_column("matters", sa.Column("max_people", sa.Integer(), nullable=True))
    op.add_column("matters", sa.Column("confirmed", sa.SmallInteger(), nullable=True))
    op.create_table(
        "case_numbers",
        sa.Column("source", TEXT, autoincrement=False, nullable=False),
        sa.Column("case_number", TEXT, autoincrement=False, nullable=False),
        sa.Column("of_source", TEXT, nullable=False),
        sa.Column("of_case_number", TEXT, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "case_number"),
    )
    op.create_index("case_numbers_of", "case_numbers", ["of_source", "of_case_number"], unique=True)
    op.create_table(
        "case_uses",
        sa.Column("source", TEXT, autoincrement=False, nullable=False),
        sa.Column("case_number", TEXT, autoincrement=False, nullable=False),
        sa.Column("lookups", sa.Integer(), nullable=False),
        sa.Column("retrievals", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source", "case_number"),
    )
    op.create_table(
        "alarms",
        sa.Column("name", TEXT, autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
