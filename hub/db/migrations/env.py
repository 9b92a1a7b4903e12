"""Alembic's entry: runs each migration in one transaction, on the connection that `hub.db.schema` hands over."""

from alembic import context

from hub.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
