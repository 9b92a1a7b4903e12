"""Alembic's entry point: runs each migration in its own transaction, on the connection passed by `hub.db.schema`."""

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
