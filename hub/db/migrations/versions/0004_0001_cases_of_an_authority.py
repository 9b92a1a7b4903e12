"""Indexes for the list of an authority's cases; restartable, because they are created while the service runs."""

from alembic import op

revision = "0004_0001"
down_revision = "0003_0001"
branch_labels = None
depends_on = None

_INDEXES = {
    "cases_decided": ["authority", "accepted_at", "source", "case_number"],
    "cases_taken_in": ["accepted_by", "accepted_at", "source", "case_number"],
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name, columns in _INDEXES.items():
            op.create_index(name, "cases", columns)
        return
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name, columns in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(name, "cases", columns, postgresql_concurrently=True)
